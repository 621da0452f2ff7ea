/** Text from elsewhere, safe on a terminal: control characters other than line breaks and tabs are shown as \xNN. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, (character) =>
    character === '\n' || character === '\t' ? character : `\\x${(character.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`,
  );
}
