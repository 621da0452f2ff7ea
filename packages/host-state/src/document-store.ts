import type { FaultPoints } from '@vmferry/seams';
import { DocumentFolder, type SetAsideReporter } from './document-folder.js';

export interface DocumentStoreOptions<T> {
  readonly dir: string;
  /** What follows the name in the file name, for example `.json`. */
  readonly suffix: string;
  /** Checks what was read and gives it its type; throws when it is not valid. */
  readonly parse: (value: unknown) => T;
  /** Version of the format, an integer from 1; a file of another version is unreadable here. */
  readonly version: number;
  readonly report: SetAsideReporter;
  readonly faults?: FaultPoints;
  /** Documents at most that this process lets the folder grow to. Default 10,000. */
  readonly countMax?: number;
}

/** Durable JSON documents. A file says its version and its own name, so that a copy under another name is not taken for it. */
export class DocumentStore<T> extends DocumentFolder<T> {
  constructor({ parse, version, ...folder }: DocumentStoreOptions<T>) {
    super({
      ...folder,
      encode: (name, document) => `${JSON.stringify({ version, name, document })}\n`,
      decode: (name, text) => {
        const file: unknown = JSON.parse(text);
        if (typeof file !== 'object' || file === null || !('version' in file) || !('name' in file) || !('document' in file)) {
          throw new Error('it is not a document of vmferry');
        }
        if (file.version !== version) throw new Error(`its version is ${String(file.version)}, this is for version ${version}`);
        if (file.name !== name) throw new Error(`it is the document of ${String(file.name)}`);
        return parse(file.document);
      },
    });
  }
}
