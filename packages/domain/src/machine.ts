/** The machine families whose PCI bus is known here. */
export type MachineFamily = 'q35' | 'pc';

export function machineFamily(machine: string): MachineFamily | undefined {
  if (machine === 'q35' || machine.startsWith('pc-q35-')) return 'q35';
  if (machine === 'pc' || machine.startsWith('pc-i440fx-')) return 'pc';
  return undefined;
}
