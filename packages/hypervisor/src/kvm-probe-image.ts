/** The size of the image, which ends where the processor starts: its last 16 bytes are the reset vector. */
const imageBytes = 0x10000;
const resetVector = 0xfff0;

/** kvm-probe.s, assembled. */
const code =
  'fa2e660f0116f8000f20c06683c8010f22c066ea1a000f00080066b810008ed88ec08ed0bc00800000fcbf0010000031c0b9000c0000f3ab' +
  'c7050010000003200000c7050020000003300000c7050030000083000000b8001000000f22d80f20e083c8200f22e0b9800000c00f320d00' +
  '0100000f300f20c00d000000800f22c0ea87000f00180048c7c700400000b8c2000f006689476066c74762180066c74764008ec1e8106689' +
  '476648c747680000000066c747f0ff0048897ff20f015ff00f0bb9002d3101890fe2fcb81000000066baf400eff4ebfd0000000000000000' +
  'ffff0000009bcf00ffff00000093cf00ffff0000009baf001f00d8000f';
const jumpToStart = 'e90d';

/** The firmware image of the KVM probe. */
export function kvmProbeImage(): Buffer {
  const image = Buffer.alloc(imageBytes);
  image.write(code, 0, 'hex');
  image.write(jumpToStart, resetVector, 'hex');
  return image;
}
