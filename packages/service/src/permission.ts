/** What a caller may do. `public` asks for nothing, not even credentials; every other word must be among the principal's own. */
export const permissions = ['read', 'operate', 'migrate-send', 'migrate-receive', 'agent', 'relay', 'admin'] as const;

export type Permission = (typeof permissions)[number];

/** Who asks. Without credentials on loopback it is `local`, with every permission. */
export interface Principal {
  readonly name: string;
  readonly permissions: ReadonlySet<Permission>;
}
