import type { SourceAgentClient } from '@vmferry/client';
import type { Command } from 'commander';
import { domainOf } from '../arguments.js';
import { examples } from '../examples.js';
import { acts, type Room } from '../leaf.js';
import { addAdministering } from './administering.js';
import { addAsking } from './asking.js';
import { autodestroyHelp, forceHelp, type StartOptions, startAndStay } from './autodestroy.js';
import { leafOf, nameOf, readXml } from './domain-leaf.js';
import { domainFacts, domainTable, isActive } from './domain-text.js';
import { addSaving } from './saving.js';

const stateNotes = `
Behind the state stands what is to be known of the domain: transient (its definition goes when it stops), a
warning, and the job that has it in hand, as KIND: PHASE. A migration away is migration-out, with the phases
begin3, perform3, perform3_done, confirm3 or confirm3_cancelled; one that comes in is migration-in, with
prepare, finish3 (libvirt's names for the steps of its protocol v3).`;

/** `vmferry domain ...`: the domains of one host, in virsh's words. */
export function addDomainCommands(program: Command, room: Room): void {
  const domain = program
    .command('domain')
    .description('define, start, look at and stop the domains of a host')
    .summary('domains of a host');
  addDefining(domain, room);
  addLooking(domain, room);
  addActing(domain, room);
  addSaving(domain, room);
  addAsking(domain, room);
  addAdministering(domain, room);
}

function addDefining(domain: Command, room: Room): void {
  const define = leafOf(
    domain,
    'define',
    'define a persistent domain from an XML file, or change its definition; it is not started',
  )
    .argument('<file>', 'domain XML of at most 1 MiB; - reads stdin')
    .addHelpText(
      'after',
      examples('domain define web.xml', 'domain dumpxml web --security-info | vmferry domain define - -c http://192.0.2.7:7801'),
    );
  acts(room, define, async (call) => {
    const made = await call.source().createDomain({ xml: await readXml(call) });
    call.print(`Domain '${made.name}' defined from ${call.args[0]}\n`, made);
    return undefined;
  });

  const create = leafOf(domain, 'create', 'start a transient domain from an XML file; its definition is gone when it stops')
    .argument('<file>', 'domain XML of at most 1 MiB; - reads stdin')
    .option('--paused', 'leave the guest paused')
    .option('--autodestroy', autodestroyHelp)
    .option('--force', forceHelp)
    .addHelpText('after', examples('domain create probe.xml', 'domain create probe.xml --autodestroy'));
  acts<StartOptions>(room, create, async (call) => {
    const xml = await readXml(call);
    return startAndStay(call, 'created', (wish) => call.source().createDomain({ xml, transient: true, ...wish }));
  });
}

function addLooking(domain: Command, room: Room): void {
  const list = leafOf(domain, 'list', 'list the active domains')
    .option('--all', 'list those that are shut off too')
    .addHelpText('after', stateNotes)
    .addHelpText('after', examples('domain list', 'domain list --all --json'));
  acts<{ all?: true }>(room, list, async (call) => {
    const { domains } = await call.source().domains();
    const shown = call.options.all === true ? domains : domains.filter(isActive);
    call.print(domainTable(shown), { domains: shown });
    return undefined;
  });

  const show = leafOf(domain, 'show', 'show what is known of a domain').argument('<domain>', 'name or uuid', domainOf);
  acts(room, show.addHelpText('after', examples('domain show web')), async (call) => {
    const shown = await call.source().domain(nameOf(call));
    call.print(domainFacts(shown), shown);
    return undefined;
  });

  const dumpxml = leafOf(domain, 'dumpxml', 'print the definition of a domain as XML')
    .argument('<domain>', 'name or uuid', domainOf)
    .option('--security-info', 'with the passwords of its display; what is defined or migrated without them has none')
    .addHelpText('after', examples('domain dumpxml web > web.xml'));
  acts<{ readonly securityInfo?: true }>(room, dumpxml, async (call) => {
    const source = call.source();
    const name = nameOf(call);
    const document = await (call.options.securityInfo === true ? source.secureDomainXml(name) : source.domainXml(name));
    call.print(document.xml.endsWith('\n') ? document.xml : `${document.xml}\n`, document);
    return undefined;
  });
}

function addActing(domain: Command, room: Room): void {
  const start = leafOf(domain, 'start', 'start a defined domain')
    .argument('<domain>', 'name or uuid', domainOf)
    .option('--paused', 'leave the guest paused')
    .option('--autodestroy', autodestroyHelp)
    .option('--force', forceHelp)
    .option('--force-boot', 'boot it also when it has an image of its own (managedsave), which is removed')
    .addHelpText('after', examples('domain start web', 'domain start web --paused', 'domain start web --autodestroy'));
  acts<StartOptions>(room, start, (call) => startAndStay(call, 'started', (wish) => call.source().start(nameOf(call), wish)));

  addVerb(domain, room, 'suspend', 'stop the CPUs of a running domain; it stays in memory', 'suspended', (agent, name) =>
    agent.suspend(name),
  );
  addVerb(domain, room, 'resume', 'let the CPUs of a suspended domain run again', 'resumed', (agent, name) => agent.resume(name));
  addVerb(domain, room, 'shutdown', 'ask the guest to shut down; returns at once', 'is being shut down', (agent, name) =>
    agent.shutdown(name),
  );
  addVerb(
    domain,
    room,
    'destroy',
    'end the QEMU of a domain at once; the guest loses what it did not write',
    'destroyed',
    (agent, name) => agent.destroy(name),
  );
  addVerb(
    domain,
    room,
    'undefine',
    'forget the definition of a domain; a running one goes on as transient',
    'has been undefined',
    async (agent, name) => {
      await agent.undefineDomain(name);
      return { name };
    },
  );
}

type Verb = (agent: SourceAgentClient, name: string) => Promise<{ readonly name: string }>;

function addVerb(domain: Command, room: Room, name: string, description: string, done: string, act: Verb): void {
  const command = leafOf(domain, name, description)
    .argument('<domain>', 'name or uuid', domainOf)
    .addHelpText('after', examples(`domain ${name} web`));
  acts(room, command, async (call) => {
    const result = await act(call.source(), nameOf(call));
    call.print(`Domain '${result.name}' ${done}\n`, result);
    return undefined;
  });
}
