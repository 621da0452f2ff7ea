import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { type Protocol, protocols } from '@vmferry/migration';
import { noFaults } from '@vmferry/seams';
import { createLogger } from '@vmferry/service';
import { startDestinationAgent } from '../app.js';

/** The agent as it is, in this process: real state folder, real port, real routes; what it logs is kept for the spec. */
export async function runningAgent(change: { readonly relay?: string; readonly protocols?: readonly Protocol[] } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'vf-'));
  const logged: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      logged.push(String(chunk));
      done();
    },
  });
  const options = {
    stateDir: join(folder, 'state'),
    runtimeDir: join(folder, 'run'),
    listen: '127.0.0.1:0',
    hostName: 'here',
    logLevel: 'info' as const,
    imageRoot: ['/'],
    network: [],
    displayPorts: { first: 5_900, last: 65_535 },
    lockDriver: 'embedded' as const,
    etcd: [],
    etcdPrefix: '',
    securityDriver: 'none' as const,
    auditSink: [],
    peer: [],
    sessionTtlSeconds: 15,
    retryMs: 100,
    attachTimeoutSeconds: 5,
    stallTimeoutSeconds: 3,
    protocols,
    ...change,
  };
  const running = await startDestinationAgent(
    options,
    noFaults,
    createLogger({ app: 'destination-agent', level: 'info', hostName: 'here', stream }),
  );
  return {
    ...running,
    folder,
    logged,
    async end() {
      await running.service.drain();
      await running.close();
      rmSync(folder, { recursive: true });
    },
  };
}
