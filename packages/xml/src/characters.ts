// The Char production of XML 1.0. In a /u expression a paired surrogate is one code point, so \u{D800} here means a lone one.
const illegalCharacter = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u;

const nameStart =
  ':A-Z_a-z\\u{C0}-\\u{D6}\\u{D8}-\\u{F6}\\u{F8}-\\u{2FF}\\u{370}-\\u{37D}\\u{37F}-\\u{1FFF}\\u{200C}-\\u{200D}' +
  '\\u{2070}-\\u{218F}\\u{2C00}-\\u{2FEF}\\u{3001}-\\u{D7FF}\\u{F900}-\\u{FDCF}\\u{FDF0}-\\u{FFFD}\\u{10000}-\\u{EFFFF}';
const namePattern = new RegExp(`^[${nameStart}][${nameStart}\\-.0-9\\u{B7}\\u{300}-\\u{36F}\\u{203F}-\\u{2040}]*$`, 'u');

/** Where the first character stands that XML 1.0 does not allow, with its code point; null when all are legal. */
export function findIllegalCharacter(text: string): { readonly index: number; readonly code: string } | null {
  const match = illegalCharacter.exec(text);
  if (match === null) return null;
  const code = (match[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  return { index: match.index, code: `U+${code}` };
}

/** Whether this can be the name of an element or attribute (the Name production of XML 1.0). */
export function isXmlName(text: string): boolean {
  return namePattern.test(text);
}
