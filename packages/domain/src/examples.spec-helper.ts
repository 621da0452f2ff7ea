export const uuid = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0';

export const bootSector = `<domain type='qemu'>
  <name>sector</name>
  <uuid>${uuid}</uuid>
  <memory unit='MiB'>4</memory>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <boot dev='hd'/>
  </os>
  <features>
    <acpi/>
  </features>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='/guests/sector.img'/>
      <target dev='vda' bus='virtio'/>
      <shareable/>
    </disk>
    <serial type='unix'>
      <source mode='connect' path='/run/s.sock'/>
      <target port='0'/>
    </serial>
  </devices>
</domain>
`;

/** The boot-sector guest with other devices. */
export function withDevices(devices: string): string {
  return bootSector.replace(/<devices>.*<\/devices>/s, () => `<devices>${devices}</devices>`);
}

/** A domain with everything that can be started, and elements that nothing here understands. */
export const everything = `<domain type='qemu' id='7' xmlns:vendor='urn:vendor'>
  <name>guest, "one"</name>
  <uuid>${uuid.toUpperCase()}</uuid>
  <title>kept</title>
  <metadata>
    <vendor:note kind='x'>kept &amp; kept</vendor:note>
  </metadata>
  <memory unit='MiB'>256</memory>
  <currentMemory unit='KiB'>131072</currentMemory>
  <vcpu placement='static' current='2'>4</vcpu>
  <cputune>
    <shares>512</shares>
  </cputune>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <loader readonly='yes' type='rom'>/usr/share/seabios/bios-256k.bin</loader>
    <kernel>/boot/vmlinuz</kernel>
    <initrd>/boot/initrd</initrd>
    <cmdline>console=ttyS0 quiet a='b,c'</cmdline>
    <boot dev='cdrom'/>
    <boot dev='network'/>
    <bootmenu enable='no'/>
  </os>
  <features>
    <acpi/>
    <apic/>
    <pae/>
    <vmport state='off'/>
  </features>
  <cpu mode='custom' match='exact' check='partial'>
    <model fallback='forbid'>qemu64</model>
    <topology sockets='1' dies='1' cores='2' threads='2'/>
    <feature policy='require' name='aes'/>
    <feature policy='disable' name='svm'/>
  </cpu>
  <clock offset='localtime'>
    <timer name='rtc' tickpolicy='catchup'/>
    <timer name='hpet' present='no'/>
  </clock>
  <on_poweroff>preserve</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>coredump-restart</on_crash>
  <pm>
    <suspend-to-mem enabled='no'/>
  </pm>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'>
      <model name='pcie-root-port'/>
      <target chassis='1' port='0x8'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x0'/>
    </controller>
    <controller type='sata' index='0'>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x1f' function='0x2'/>
    </controller>
    <controller type='usb' index='0' model='qemu-xhci'/>
    <controller type='virtio-serial' index='0' ports='16'/>
    <disk type='block' device='disk'>
      <driver name='qemu' type='qcow2' cache='none' io='native'/>
      <source dev='/dev/vg/x' index='2'/>
      <target dev='vda' bus='virtio'/>
      <serial>DISK-1</serial>
      <boot order='1'/>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
    </disk>
    <disk type='file' device='cdrom'>
      <target dev='sda' bus='sata'/>
      <readonly/>
      <address type='drive' controller='0' bus='0' target='0' unit='0'/>
    </disk>
    <interface type='network'>
      <mac address='52:54:00:AA:BB:CC'/>
      <source network='default'/>
      <actual type='bridge'>
        <source bridge='br7'/>
        <bandwidth>
          <inbound average='1000' peak='2000' burst='64'/>
        </bandwidth>
      </actual>
      <virtualport type='802.1Qbh'>
        <parameters profileid='p1'/>
      </virtualport>
      <target dev='vnet0'/>
      <model type='virtio'/>
    </interface>
    <serial type='pty'>
      <source path='/dev/pts/4'/>
      <target type='isa-serial' port='0'>
        <model name='isa-serial'/>
      </target>
    </serial>
    <serial type='file'>
      <source path='/tmp/s1.log' append='on'/>
    </serial>
    <serial type='tcp'>
      <source mode='connect' host='127.0.0.1' service='4555'/>
      <protocol type='raw'/>
    </serial>
    <serial type='null'/>
    <console type='pty'>
      <target type='serial' port='0'/>
    </console>
    <input type='tablet' bus='usb'/>
    <input type='keyboard' bus='ps2'/>
    <graphics type='spice' port='5901' autoport='no' listen='127.0.0.1'>
      <listen type='address' address='127.0.0.1'/>
    </graphics>
    <audio id='1' type='none'/>
    <video>
      <model type='qxl' ram='65536' vram='65536' vgamem='16384' heads='1' primary='yes'/>
    </video>
    <memballoon model='virtio'/>
    <rng model='virtio'>
      <backend model='random'>/dev/urandom</backend>
    </rng>
  </devices>
  <seclabel type='none'/>
</domain>
`;
