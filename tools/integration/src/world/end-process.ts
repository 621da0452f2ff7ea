/** Ends a process that a suite has started; it may have ended by itself meanwhile. */
export function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone is what it was to be.
  }
}
