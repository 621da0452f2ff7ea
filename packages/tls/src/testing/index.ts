import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TlsFiles } from '../identity.js';
import type { Role } from '../roles.js';

export { type QemuCertificates, qemuFolder } from './qemu-folder.js';

export interface IssueOptions {
  /** Names and addresses as openssl takes them. Default: this machine's loopback. */
  readonly names?: readonly string[];
  /** When it ends, in days from now; a negative one is over. */
  readonly days?: number;
  /** As openssl takes it. Default: a common name of its own. */
  readonly subject?: string;
}

/** A certificate authority on disk, made by openssl with the commands that the README of the relay shows. */
export class TestAuthority {
  readonly folder = mkdtempSync(join(tmpdir(), 'vf-ca-'));
  readonly ca = join(this.folder, 'ca.pem');
  readonly #key = join(this.folder, 'ca.key');
  #issued = 0;

  constructor() {
    const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30'];
    openssl(...request, '-subj', '/CN=vmferry test CA', '-keyout', this.#key, '-out', this.ca);
  }

  /** A new certificate with these roles and its key. */
  issue(roles: readonly Role[], options: IssueOptions = {}): TlsFiles {
    const { days = 30 } = options;
    const { files, request, extensions } = this.#request(roles, options);
    const signed = ['-CA', this.ca, '-CAkey', this.#key, '-CAcreateserial', '-days', String(days), '-extfile', extensions];
    openssl('x509', '-req', '-in', request, ...signed, '-out', files.cert);
    return files;
  }

  /** The same, signed by nobody else. */
  selfSigned(roles: readonly Role[], options: IssueOptions = {}): TlsFiles {
    const { files, request, extensions } = this.#request(roles, options);
    openssl('x509', '-req', '-in', request, '-signkey', files.key, '-days', '30', '-extfile', extensions, '-out', files.cert);
    return files;
  }

  #request(roles: readonly Role[], { names = ['IP:127.0.0.1', 'DNS:localhost'], subject }: IssueOptions) {
    this.#issued += 1;
    const path = (ending: string) => join(this.folder, `${this.#issued}-${roles.join('-') || 'none'}.${ending}`);
    const files = { cert: path('pem'), key: path('key'), ca: this.ca };
    const altNames = [...names, ...roles.map((role) => `URI:vmferry://role/${role}`)].join(',');
    writeFileSync(path('ext'), `subjectAltName=${altNames}\nkeyUsage=digitalSignature\n`);
    const request = ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    const own = `/CN=${roles[0] ?? 'nothing'}-${this.#issued}`;
    openssl(...request, '-subj', subject ?? own, '-keyout', files.key, '-out', path('csr'));
    return { files, request: path('csr'), extensions: path('ext') };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
