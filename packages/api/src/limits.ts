/** Every bound of the HTTP contract, named once. Bytes, counts and durations carry their unit in the name. */
export const limits = {
  /** A domain definition as XML text (threats, row 1). */
  domainXmlBytesMax: 1_048_576,
  /** A cookie on the wire, its NUL included (S46), and the same in base64. */
  cookieBytesMax: 16_384,
  cookieBase64CharsMax: 21_848,
  nameCharsMax: 128,
  urlCharsMax: 512,
  ticketCharsMax: 128,
  flagCount: 32,
  flagCharsMax: 64,
  bandwidthMibPerSecMax: 1_048_576,
  downtimeMsMax: 60_000,
  /** Channels of a parallel migration beside its main one; each is a stream of its own at both relays. */
  parallelConnectionsMax: 16,
  /** Completion timeout of a migration: seven days in all, a day for each GiB, a day without progress. */
  timeoutSecondsMax: 604_800,
  timeoutSecondsPerGibMax: 86_400,
  stallSecondsMax: 86_400,
  /** Long polls and `Prefer: wait`, in seconds. */
  waitSecondsMax: 60,
  sessionTtlSecondsMax: 300,
  pageItemsMax: 500,
  reasonCharsMax: 1_024,
  /** Text for a person, and a word for a program, in what an agent answers. */
  textCharsMax: 8_192,
  wordCharsMax: 64,
  wordCount: 64,
  hostNameCharsMax: 255,
  /** The kernel's own limits: of a pid, and of the path of a unix socket. */
  pidMax: 4_194_304,
  socketPathCharsMax: 107,
  imagePathCharsMax: 4_096,
  /** Behind it come `/`, the uuid of a guest in 32 digits, and the name of a monitor. */
  runtimeDirBytesMax: 60,
  /** An administrator's command for QEMU's monitor, and what QEMU answers, each as JSON. */
  monitorCommandBytesMax: 65_536,
  monitorReplyBytesMax: 1_048_576,
  /** A JSON body: the largest field is the domain XML, which JSON escapes. */
  bodyBytesMax: 4_194_304,
} as const;
