import { VmferryError } from '@vmferry/errors';
import { formatOf, numberOf, type SaveFormat } from './format.js';

/*
 * libvirt's save image (libvirt-protocol, A10): 92 bytes of header in the byte order of the host that wrote it, the definition as XML with its NUL and padding, then
 * QEMU's migration stream. The definition ends on a multiple of 4,096, so that what follows can be written and read with O_DIRECT.
 */
export const headerBytes = 92;
const magicBytes = 16;
const version = 2;
const alignment = 4_096;
/** Room for a definition that is edited in place later. */
const paddingBytesMin = 1_024;
/** As for any definition (threats, row 1), and its padding. */
const definitionBytesMax = 1_048_576;
const dataBytesMax = definitionBytesMax + paddingBytesMin + 2 * alignment;

const magics = { complete: 'LibvirtQemudSave', partial: 'LibvirtQemudPart' } as const;

/** The first bytes of an image, which make it a whole one: written last, once all the rest is on disk. */
export const completeMagic = Buffer.from(magics.complete, 'latin1');

export interface SaveHead {
  readonly xml: string;
  /** Whether the guest ran when it was saved, and so is to run when it is restored. */
  readonly wasRunning: boolean;
  readonly format: SaveFormat;
}

/** What the 92 bytes say. */
export interface SaveHeader extends Omit<SaveHead, 'xml'> {
  readonly byteOrder: 'LE' | 'BE';
  /** From the end of the header to the beginning of the stream. */
  readonly dataBytes: number;
  /** libvirt 3.3 and later keep a cookie of their own behind the definition; 0: there is none. */
  readonly cookieOffset: number;
}

/** Everything before the stream, marked as incomplete. Throws `xml-too-large`. */
export function encodeHead({ xml, wasRunning, format }: SaveHead): Buffer {
  const text = Buffer.from(`${xml}\0`, 'utf8');
  if (text.length - 1 > definitionBytesMax) {
    throw new VmferryError(
      'xml-too-large',
      `The definition has ${text.length - 1} bytes, and ${definitionBytesMax} are the most that an image takes.`,
    );
  }
  const bytes = Math.ceil((headerBytes + text.length + paddingBytesMin) / alignment) * alignment;
  const head = Buffer.alloc(bytes);
  head.write(magics.partial, 'latin1');
  [version, bytes - headerBytes, Number(wasRunning), numberOf(format)].forEach((word, index) => {
    head.writeUInt32LE(word, magicBytes + 4 * index);
  });
  text.copy(head, headerBytes);
  return head;
}

/**
 * Reads the header, of either byte order. Throws `save-image-invalid`: it is short, no image, of a later version, of an unknown compression, or claims a definition
 * of no length or beyond all bounds; `save-image-incomplete`: whoever wrote it did not come to its end.
 */
export function decodeHeader(bytes: Buffer, path: string): SaveHeader {
  const refuse = (why: string) =>
    new VmferryError('save-image-invalid', `${path} cannot be restored: ${why}.`, { data: { path } });
  if (bytes.length < headerBytes) throw refuse('it is shorter than the header of a save image');
  const magic = bytes.toString('latin1', 0, magicBytes);
  if (magic === magics.partial) {
    const detail = `${path} cannot be restored: the save image is incomplete, its save was interrupted.`;
    throw new VmferryError('save-image-incomplete', detail, { data: { path } });
  }
  if (magic !== magics.complete) throw refuse('image magic is incorrect');
  const byteOrder = bytes.readUInt32LE(magicBytes) <= version ? 'LE' : 'BE';
  const word = (index: number) => bytes[byteOrder === 'LE' ? 'readUInt32LE' : 'readUInt32BE'](magicBytes + 4 * index);
  if (word(0) > version || word(0) === 0) throw refuse(`image version is not supported (${word(0)} > ${version})`);
  const [dataBytes, number] = [word(1), word(3)];
  if (dataBytes === 0 || dataBytes > dataBytesMax)
    throw refuse(`invalid XML length: ${dataBytes}, and at most ${dataBytesMax} are taken`);
  const format = formatOf(number);
  if (format === null) throw refuse(`compression ${number} is not known`);
  const cookieOffset = word(4);
  if (cookieOffset >= dataBytes) throw refuse(`its cookie begins at ${cookieOffset}, behind its definition`);
  return { byteOrder, wasRunning: word(2) !== 0, format, dataBytes, cookieOffset };
}

/** The definition in what follows the header: up to its NUL. Throws `save-image-invalid`. */
export function decodeXml(data: Buffer, { dataBytes, cookieOffset }: SaveHeader, path: string): string {
  const bounded = data.subarray(0, cookieOffset === 0 ? dataBytes : cookieOffset);
  const end = bounded.indexOf(0);
  const text = bounded.subarray(0, end === -1 ? bounded.length : end);
  if (data.length === dataBytes && text.length > 0 && text.length <= definitionBytesMax) return text.toString('utf8');
  const why = data.length === dataBytes ? 'its definition is empty or too long' : 'it ends within its definition';
  throw new VmferryError('save-image-invalid', `${path} cannot be restored: ${why}.`, { data: { path } });
}
