import { describe, expect, it } from 'vitest';
import { parseFlags } from './flags.js';
import { checkOffline, isOffline, refuseOfflineIn, refuseSendingWishes } from './offline.js';

const offline = ['OFFLINE', 'PERSIST_DEST'];

describe('S31: OFFLINE beside other flags and wishes', () => {
  it.each([[['OFFLINE']], [[...offline, 'TUNNELLED']], [[...offline, 'PAUSED']]])('refuses %j', (flags) => {
    expect(() => checkOffline(parseFlags(flags), {})).toThrow(
      expect.objectContaining({ code: 'invalid-argument', errors: [expect.objectContaining({ path: '/flags' })] }),
    );
  });

  it.each([['uri'], ['listenAddress'], ['bandwidthMibPerSec'], ['downtimeMsMax'], ['timeouts']])('refuses %s', (wish) => {
    const refused = expect.objectContaining({
      code: 'invalid-argument',
      errors: [expect.objectContaining({ path: `/${wish}` })],
    });
    expect(() => checkOffline(offline, { [wish]: 1 })).toThrow(refused);
    expect(() => refuseSendingWishes({ [wish]: 1 })).toThrow(refused);
    expect(() => checkOffline(['LIVE'], { [wish]: 1 })).not.toThrow();
  });

  it('takes LIVE, PEER2PEER, UNDEFINE_SOURCE and CHANGE_PROTECTION', () => {
    const flags = parseFlags([...offline, 'LIVE', 'PEER2PEER', 'UNDEFINE_SOURCE', 'CHANGE_PROTECTION']);
    expect(() => checkOffline(flags, { bandwidthMibPerSec: undefined })).not.toThrow();
    expect([isOffline(flags), isOffline(['LIVE'])]).toEqual([true, false]);
  });

  it('is of v3 alone', () => {
    expect(() => refuseOfflineIn('v2', offline)).toThrow(expect.objectContaining({ code: 'peer-protocol' }));
    expect(() => refuseOfflineIn('v3', offline)).not.toThrow();
    expect(() => refuseOfflineIn('v2', ['LIVE'])).not.toThrow();
  });
});
