import { asyncJobKind, domainName, domainXml, timestamp, uuid } from './common.js';
import { limits } from './limits.js';
import { z } from './z.js';

export const domainState = z.enum(['nostate', 'running', 'blocked', 'paused', 'shutdown', 'shutoff', 'crashed']);

/** A4: what the job info of libvirt tells, in our units. */
export const jobInfo = z
  .object({
    kind: asyncJobKind,
    phase: z.string(),
    startedAt: timestamp,
    elapsedMs: z.int(),
  })
  .openapi('JobInfo');

/** Where the clients of a display find it (libvirt's domdisplay); a port that it does not have is null. */
export const displayPlace = z
  .object({
    type: z.enum(['vnc', 'spice']),
    listen: z.string(),
    port: z.int().nullable(),
    /** Of SPICE with TLS. */
    tlsPort: z.int().nullable(),
  })
  .openapi('Display');
export type DisplayPlace = z.infer<typeof displayPlace>;

/** As `virsh dominfo` shows it, with the label of what the guest writes where files have one. */
const guestLabel = z
  .object({ model: z.string(), doi: z.string(), label: z.string(), imageLabel: z.string().optional() })
  .openapi('GuestLabel');

export const domainResource = z
  .object({
    uuid,
    name: domainName,
    type: z.string(),
    persistent: z.boolean(),
    state: domainState,
    reason: z.string(),
    memoryKib: z.int(),
    vcpus: z.int(),
    /** The process of QEMU, when the domain is active. */
    pid: z.int().nullable(),
    /** Of an active domain that has one. */
    display: displayPlace.nullable().default(null),
    job: jobInfo.nullable(),
    /** The migration that the domain takes part in, when one is not yet decided. */
    migrationId: z.string().nullable(),
    /** It ends with a control session; an agent that was restarted knows of none, and the guest lives on. */
    autodestroy: z.boolean(),
    /** What was done to it around this agent: an administrator's monitor commands, a start by something else. */
    tainted: z.array(z.enum(['custom-monitor', 'external-launch'])),
    /** It has an image of its own, which its next start uses (virsh managedsave). */
    managedSave: z.boolean(),
    /** The labels that keep the guest from the others, by the security drivers of the host; none of a guest that does not run. */
    labels: z.array(guestLabel),
    /** Something a person should read: a lease that was lost, an adoption that waits. */
    warning: z.string().nullable(),
  })
  .openapi('Domain');
export type DomainResource = z.infer<typeof domainResource>;

export const domainList = z.object({ domains: z.array(domainResource) }).openapi('DomainList');
export type DomainList = z.infer<typeof domainList>;

/** A control session at this agent: when it is lost or deleted, the guest is destroyed (S17). */
const autodestroy = uuid.optional();

/** Starts also a guest that may run on the host to which it has been migrated. */
const force = z.boolean().default(false);

/** POST /v1/domains: defines a persistent domain, or with `transient` starts one that is gone when it stops (virsh create). */
export const createDomain = z
  .strictObject({ xml: domainXml, transient: z.boolean().default(false), paused: z.boolean().default(false), force, autodestroy })
  .refine(
    (body) => body.transient || body.autodestroy === undefined,
    'autodestroy is of a guest that is started: give transient, or define the domain and start it',
  )
  .openapi('CreateDomain');
export type CreateDomain = z.input<typeof createDomain>;

/** POST /v1/domains/:domain/start */
export const startDomain = z
  .strictObject({
    paused: z.boolean().default(false),
    force,
    /** Boots a domain that has a managed image, which is removed. */
    forceBoot: z.boolean().default(false),
    autodestroy,
  })
  .openapi('StartDomain');
export type StartDomain = z.input<typeof startDomain>;

/** POST /v1/domains/attach: a QEMU of this host that something else has started, with its process and the path of its monitor. */
export const attachDomain = z
  .strictObject({
    xml: domainXml,
    pid: z.int().min(1).max(limits.pidMax),
    monitor: z.string().max(limits.socketPathCharsMax).regex(/^\//, 'an absolute path'),
  })
  .openapi('AttachDomain');
export type AttachDomain = z.input<typeof attachDomain>;

/** POST /v1/domains/:domain/monitor: one command for QEMU's monitor, as virsh's qemu-monitor-command takes it. */
export const monitorCommand = z
  .strictObject({
    execute: z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/, 'the name of a QMP command'),
    arguments: z.record(z.string(), z.unknown()).default({}),
  })
  .openapi('MonitorCommand');
export type MonitorCommand = z.input<typeof monitorCommand>;

export const monitorReply = z.object({ return: z.unknown() }).openapi('MonitorReply');
export type MonitorReply = z.infer<typeof monitorReply>;

export const emptyBody = z.strictObject({}).openapi('Empty');

export const domainXmlDocument = z.object({ xml: z.string() }).openapi('DomainXml');
export type DomainXmlDocument = z.infer<typeof domainXmlDocument>;
