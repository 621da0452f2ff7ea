/**
 * The migration cookie (libvirt-protocol, A2): what one step of a migration tells the next. The sections of libvirt come first,
 * in libvirt's order; what vmferry adds stands last, in an element that other readers pass over.
 */
export interface MigrationCookie {
  /** The domain's name on the source, before it may be renamed on the target. */
  readonly name: string;
  /** Of the domain; lower-case canonical, as every uuid here. */
  readonly uuid: string;
  /** Of the sender. */
  readonly hostName: string;
  readonly hostUuid: string;
  /** The mandatory features: a reader that lacks one must refuse the cookie (S35). */
  readonly features: readonly CookieFeature[];
  readonly graphics?: CookieGraphics;
  readonly lockState?: CookieLockState;
  /** A `<domain>` document, the persistent configuration. */
  readonly persistentXml?: string;
  readonly vmferry?: CookieOfVmferry;
}

export type CookieFeature = 'graphics' | 'lockstate';

export interface CookieGraphics {
  readonly type: 'vnc' | 'spice';
  /** -1 to 65,535; -1: none. */
  readonly port: number;
  /** -1 without TLS. It is sent for spice only, and reads as -1 for vnc. */
  readonly tlsPort: number;
  readonly listen: string;
  /** The subject (DN) of the server's certificate; only with TLS. */
  readonly certSubject?: string;
}

export interface CookieLockState {
  readonly driver: string;
  /** The driver's own text; absent for a driver without state. */
  readonly leases?: string;
}

export interface CookieOfVmferry {
  readonly migrationId: string;
  /** 128 bits as 32 hex digits. */
  readonly nonce: string;
  /** A definition is migrated and no guest: Prepare has to say the same. */
  readonly offline?: true;
  /** sha256 of the permit, 64 hex digits; from Begin. */
  readonly permitDigest?: string;
  /** The finish permit, 128 bits as 32 hex digits; from Perform. A secret: never in a log or a message. */
  readonly permit?: string;
  /** Where the sender's peer endpoint is, and which store answers there. */
  readonly peer?: CookiePeer;
  /** The waiting stream. */
  readonly stream?: CookieStream;
  /** The lock state after the destination has taken the leases. */
  readonly leases?: string;
}

export interface CookiePeer {
  readonly role: 'source' | 'destination';
  readonly url: string;
  readonly storeId: string;
}

export interface CookieStream {
  /** Where an agent or a relay takes it, over http or https; `tcp:HOST:PORT` where QEMU itself listens. */
  readonly url: string;
  /** A secret; null where QEMU listens, which asks for none. */
  readonly ticket: string | null;
  /** Of a parallel migration, 1 to 16: how many channels the family of streams has beside its main one. The ticket is the family's. */
  readonly channels?: number;
}

/** What a reader checks a cookie against. */
export interface CookieExpectation {
  /** The domain's name on the source, and its uuid. */
  readonly name: string;
  readonly uuid: string;
  readonly localHostName: string;
  readonly localHostUuid: string;
  /** The reader's lock driver; only where the step reads the lock state (Prepare). Elsewhere a mandatory lockstate is refused. */
  readonly lockDriver?: { readonly name: string; readonly usesState: boolean };
  /** The migration that the cookie must belong to. */
  readonly migration?: { readonly id: string; readonly nonce: string };
}
