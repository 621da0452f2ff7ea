export { type CompressedFormat, type Compressor, startCompressor } from './compressor.js';
export { type SaveFormat, saveFormats } from './format.js';
export type { SaveHead } from './head.js';
export { markComplete, type ReadImage, readImage, writeHead } from './image-file.js';
