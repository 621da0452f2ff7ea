import { expect, it } from 'vitest';
import { stepArguments } from './step-arguments.js';

it('S28: all arguments of a step are told, flags in hex, cookie and XML by their length', () => {
  const cookie = Buffer.from('<ticket>\0').toString('base64');
  const body = {
    nonce: 'n',
    cookie,
    xml: '<domain>ä</domain>',
    flags: ['LIVE', 'TUNNELLED', 'LIVE', 'no-flag'],
    cancelled: false,
    uri: 'http://b',
  };
  expect(stepArguments(body)).toEqual({
    nonce: 'n',
    cookieBytes: 9,
    xmlBytes: 19,
    flags: '0x5',
    cancelled: false,
    uri: 'http://b',
  });
  expect(stepArguments({})).toEqual({ flags: '0x0' });
});
