import { fileContexts, type SelinuxKernel } from './kernel.js';

/**
 * A double for SELinux, which most machines have not: its policy has any context of a type that begins with svirt, and nobody enforces it. The labels of files
 * are real: extended attributes are there without SELinux too, for root.
 */
export class DoubleSelinux implements SelinuxKernel {
  own = 'system_u:system_r:virtd_t:s0-s0:c0.c1023';
  readonly processes = new Map<number, string>();
  /** Each context that was set for new sockets, in order. */
  readonly socketContexts: (string | null)[] = [];
  readonly defaults = {
    domain: 'system_u:system_r:svirt_t:s0',
    emulated: 'system_u:system_r:svirt_tcg_t:s0',
    image: 'system_u:object_r:svirt_image_t:s0',
  };
  readonly fileContext = fileContexts.fileContext;
  /** Paths are not known here: one that is to fail is given by its context. */
  failing: string | null = null;

  ownContext(): string {
    return this.own;
  }

  processContext(pid: number): string | null {
    return this.processes.get(pid) ?? null;
  }

  isValid(context: string): boolean {
    return /^\w+:\w+:svirt\w*:/.test(context);
  }

  setFileContext(fd: number, context: string | null): void {
    if (context !== null && context === this.failing) throw new Error('the policy refuses it');
    fileContexts.setFileContext(fd, context);
  }

  setSocketCreation(context: string | null): void {
    this.socketContexts.push(context);
  }
}
