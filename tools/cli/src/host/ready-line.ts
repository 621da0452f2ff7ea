/** The URL in the one line of JSON that an app prints on stdout when it listens, or null for any other line. */
export function readyUrl(line: string): string | null {
  if (line.length > 4_096 || !line.startsWith('{')) return null;
  try {
    const told: unknown = JSON.parse(line);
    if (typeof told !== 'object' || told === null || !('ready' in told) || !('url' in told)) return null;
    return told.ready === true && typeof told.url === 'string' ? told.url : null;
  } catch {
    return null;
  }
}
