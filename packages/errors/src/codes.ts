/**
 * The closed registry of error codes. A code is stable: clients may switch on it. Each row gives the HTTP status, libvirt's
 * number (libvirt-protocol, A5) for people who come from virsh, whether the same request may succeed later, and the title of
 * its problem page.
 */
export interface CodeRow {
  readonly status: number;
  readonly libvirt: number;
  readonly retryable: boolean;
  readonly title: string;
}

const row = (status: number, libvirt: number, retryable: boolean, title: string): CodeRow => ({
  status,
  libvirt,
  retryable,
  title,
});

const INTERNAL = 1;
const INVALID_ARG = 8;
const FAILED = 9;
const NO_DOMAIN = 42;
const INVALID = 55;
const UNSUPPORTED = 67;
const TIMEOUT = 68;
const PERSIST_FAILED = 69;
const ARGUMENT_UNSUPPORTED = 74;
const ABORTED = 78;

export const errorCodes = {
  // The request itself.
  'malformed-request': row(400, INVALID_ARG, false, 'The request cannot be read'),
  'invalid-argument': row(422, INVALID_ARG, false, 'The request can be read but not accepted'),
  'unauthenticated': row(401, INVALID, false, 'No valid credentials were given'),
  'forbidden': row(403, INVALID, false, 'These credentials do not allow this'),
  'certificate-refused': row(403, INVALID, false, 'The certificate of the other side is not accepted'),
  'tls-unavailable': row(422, UNSUPPORTED, false, 'The TLS that was asked for cannot be had'),
  'insecure-refused': row(403, INVALID, false, 'The stream would be open to anybody, and that is not permitted'),
  'not-found': row(404, INVALID_ARG, false, 'There is no such resource'),
  'method-not-allowed': row(405, INVALID_ARG, false, 'The resource does not have this method'),
  'body-too-large': row(413, INVALID_ARG, false, 'The body is over its limit'),
  'unsupported-media-type': row(415, INVALID_ARG, false, 'The body is of a type that is not read here'),
  'step-mismatch': row(409, INVALID, false, 'The step was already taken with another body'),
  'too-many-requests': row(429, FAILED, true, 'Too much at once'),
  'draining': row(503, FAILED, true, 'The service is shutting down'),
  'request-timeout': row(504, TIMEOUT, true, 'The time allowed for the request is over'),

  // XML, definitions and cookies.
  'xml-malformed': row(422, INVALID_ARG, false, 'The XML is not well-formed'),
  'xml-forbidden': row(422, INVALID_ARG, false, 'The XML uses a construct that is refused'),
  'xml-too-large': row(413, INVALID_ARG, false, 'The XML is over a limit'),
  'definition-invalid': row(422, INVALID_ARG, false, 'The domain definition is not valid'),
  'device-unsupported': row(422, UNSUPPORTED, false, 'The domain uses a device that is not supported'),
  'domain-type-unexpected': row(422, INVALID_ARG, false, 'The domain is of a type that is not accepted'),
  'abi-mismatch': row(422, UNSUPPORTED, false, 'The target definition would change what the guest sees'),
  'cookie-malformed': row(422, INVALID_ARG, false, 'The migration cookie cannot be read'),
  'cookie-too-large': row(413, INVALID_ARG, false, 'The migration cookie is over 16,384 bytes'),
  'cookie-mismatch': row(422, INVALID_ARG, false, 'The migration cookie belongs to another migration, domain or host'),
  'cookie-feature-unsupported': row(422, UNSUPPORTED, false, 'The migration cookie demands a feature that is not known'),

  // Domains and jobs.
  'domain-not-found': row(404, NO_DOMAIN, false, 'There is no such domain'),
  'domain-exists': row(409, INVALID, false, 'A domain of this name or uuid exists'),
  'domain-running': row(409, INVALID, false, 'The domain is running'),
  'domain-elsewhere': row(409, INVALID, false, 'The domain runs on another host'),
  'domain-not-running': row(409, INVALID, false, 'The domain is not running'),
  'domain-busy': row(409, TIMEOUT, true, 'Another job holds the domain'),
  'domain-autodestroy': row(409, INVALID, false, 'The domain is marked for autodestroy'),
  'attach-mismatch': row(422, INVALID_ARG, false, 'Process, monitor and definition are not of one guest'),
  'monitor-command-refused': row(422, ARGUMENT_UNSUPPORTED, false, 'The monitor command is not passed on'),
  'no-active-job': row(409, INVALID, false, 'No job is active on the domain'),
  'in-doubt': row(409, INVALID, true, 'A migration of this domain is not yet decided'),
  'handover-pending': row(409, INVALID, true, 'The domain is being taken over by its source agent'),

  // Migration.
  'migration-not-found': row(404, INVALID, false, 'There is no such migration'),
  'migration-exists': row(409, INVALID, false, 'A migration of this id exists'),
  'already-migrating': row(409, INVALID, false, 'The domain is already being migrated'),
  'not-migrating': row(409, INVALID, false, 'The domain is not being migrated'),
  'same-host': row(422, INVALID, false, 'Source and destination are the same host'),
  'flag-unknown': row(422, INVALID_ARG, false, 'The migration flag is not known'),
  'flag-unsupported': row(422, ARGUMENT_UNSUPPORTED, false, 'The migration flag is not supported'),
  'phase-backward': row(409, INTERNAL, false, 'A migration phase never goes back'),
  'permit-invalid': row(403, INVALID, false, 'Finish was asked without the permit of this migration'),
  'past-point-of-no-return': row(409, INVALID, false, 'The destination has committed'),
  'migration-aborted': row(409, ABORTED, false, 'The migration was aborted'),
  'migration-cancelled': row(409, ABORTED, false, 'The migration was cancelled'),
  'migration-timeout': row(409, TIMEOUT, true, 'The migration took longer than it may, or made no progress'),
  'migration-failed': row(409, FAILED, false, 'QEMU reports that the migration failed'),
  'persist-failed': row(500, PERSIST_FAILED, false, 'The configuration of the domain could not be kept on the destination'),
  'migration-undecided': row(409, FAILED, true, 'The outcome of the migration is not known yet'),
  'migration-live': row(409, INVALID, false, 'The migration is still under way'),
  'ticket-invalid': row(403, INVALID, false, 'The ticket of the stream is wrong, used or expired'),
  'stream-failed': row(502, FAILED, false, 'The migration stream broke'),
  'stream-silent': row(504, TIMEOUT, false, 'The migration stream stayed silent'),
  'stream-not-found': row(404, INVALID_ARG, false, 'There is no such stream'),
  'stream-over': row(409, INVALID, false, 'The stream has ended'),
  'port-busy': row(409, INVALID, true, 'The port is in use, or none of them is free'),
  'session-not-found': row(404, INVALID, false, 'There is no such control session'),
  'session-lost': row(409, FAILED, false, 'The control session of the migration ended'),

  // Save images and core dumps.
  'save-failed': row(500, FAILED, false, 'The memory of the guest could not be written to the file'),
  'save-cancelled': row(409, ABORTED, false, 'The save or dump was cancelled'),
  'save-image-invalid': row(422, FAILED, false, 'The file is no save image that can be restored'),
  'save-image-incomplete': row(422, FAILED, false, 'The save image was not written to its end'),
  'managed-save-present': row(409, INVALID, false, 'The domain has a managed image'),
  'image-path-refused': row(422, INVALID_ARG, false, 'The file of the image cannot be used'),

  // The other host and what this one needs.
  'peer-unreachable': row(502, FAILED, true, 'The other host does not answer'),
  'peer-nonsense': row(502, FAILED, false, 'The other host answered what cannot be understood'),
  'peer-protocol': row(422, UNSUPPORTED, false, 'The migration protocol is not offered'),
  'hypervisor-failed': row(500, INTERNAL, false, 'QEMU could not do it'),
  'hypervisor-unsupported': row(422, UNSUPPORTED, false, 'This QEMU or this host cannot do it'),
  'monitor-failed': row(500, INTERNAL, false, 'The QEMU monitor failed'),
  'monitor-timeout': row(504, TIMEOUT, true, 'The QEMU monitor did not answer in time'),
  'guest-gone': row(409, FAILED, false, 'The QEMU of the guest is gone'),
  'lease-busy': row(409, INVALID, true, 'Another owner holds the lease'),
  'lease-stale': row(409, INVALID, false, 'The lease has moved on'),
  'lease-unavailable': row(503, FAILED, true, 'The lease store does not answer'),
  'lock-driver-mismatch': row(422, UNSUPPORTED, false, 'Source and destination use different lock drivers'),
  'label-failed': row(500, INTERNAL, false, 'A file could not be labelled for QEMU'),
  'network-unavailable': row(422, UNSUPPORTED, false, 'What an interface is connected to cannot be had on this host'),
  'state-unwritable': row(503, INTERNAL, true, 'The state of the host cannot be written'),
  'state-unreadable': row(500, INTERNAL, false, 'The state of the host cannot be read'),
  'agent-running': row(409, INVALID, false, 'Another agent holds this state folder'),
  'system-call-failed': row(500, INTERNAL, false, 'A system call failed'),
  'internal': row(500, INTERNAL, false, 'This is a defect of vmferry'),
} as const satisfies Record<string, CodeRow>;

export type ErrorCode = keyof typeof errorCodes;
