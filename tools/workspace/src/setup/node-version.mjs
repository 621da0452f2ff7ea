// The range of Node, checked in words before anything that an older Node could not run.
import { stop } from './say.mjs';

/** Major versions that are supported, each with the first minor; every major from `openMajor` on is. */
const firstMinorOf = { 20: 19, 22: 13 };
const openMajor = 24;

export function supportsNode(version) {
  const [major, minor] = version.replace(/^v/, '').split('.').map(Number);
  return major >= openMajor || (major in firstMinorOf && minor >= firstMinorOf[major]);
}

export function checkNodeVersion() {
  if (supportsNode(process.version)) return;
  stop(
    `this is Node ${process.version}, and vmferry needs Node 20 (from 20.19), 22 (from 22.13), or 24 and later. ` +
      'Install one of them, for example from https://nodejs.org, and run the command again.',
  );
}
