import { VmferryError } from '@vmferry/errors';
import { attributesOfOneElementMax, type XmlLimits } from './limits.js';

/**
 * Walks over the markup without parsing it, and refuses a document that is too deep, has too many parts or uses a construct that
 * is not read here. A document that fools this walk is not well-formed, and libxml2 stops at exactly that place.
 */
export function checkShape(text: string, limits: XmlLimits): void {
  let depth = 0;
  let nodes = 0;
  let attributes = 0;
  for (let at = text.indexOf('<'); at !== -1; ) {
    const markup = readMarkup(text, at);
    if (markup.t !== 'end') nodes += 1;
    if (markup.t === 'start') {
      attributes += markup.attributes;
      depth += 1;
      refuseOver(depth, limits.depthMax, 'elements are nested');
      refuseOver(markup.attributes, attributesOfOneElementMax, 'attributes are on one element');
    }
    if (markup.t === 'end' || (markup.t === 'start' && markup.selfClosing)) depth -= 1;
    refuseOver(nodes, limits.nodesMax, 'elements, comments and CDATA sections are in the document');
    refuseOver(attributes, limits.attributesMax, 'attributes are in the document');
    at = text.indexOf('<', markup.next);
  }
}

type Markup =
  | { readonly t: 'start'; readonly next: number; readonly attributes: number; readonly selfClosing: boolean }
  | { readonly t: 'end' | 'skipped'; readonly next: number };

function readMarkup(text: string, at: number): Markup {
  if (text.startsWith('</', at)) return { t: 'end', next: after(text, '>', at) };
  if (text.startsWith('<!--', at)) return { t: 'skipped', next: after(text, '-->', at + 4) };
  if (text.startsWith('<![CDATA[', at)) return { t: 'skipped', next: after(text, ']]>', at) };
  if (text.startsWith('<!', at)) {
    throw new VmferryError('xml-forbidden', `The XML has a markup declaration at character ${at}; remove it.`);
  }
  if (text.startsWith('<?', at)) return readInstruction(text, at);
  return readStartTag(text, at);
}

/** The XML declaration may only say UTF-8: the text is a decoded string, and another name there is an attempt to mislead. */
function readInstruction(text: string, at: number): Markup {
  const next = after(text, '?>', at);
  const instruction = text.slice(at, next);
  if (!/^<\?xml\s/.test(instruction)) {
    throw new VmferryError('xml-forbidden', `The XML has a processing instruction at character ${at}; remove it.`);
  }
  const encoding = /\sencoding\s*=\s*["']([^"']*)["']/.exec(instruction)?.[1];
  if (encoding !== undefined && encoding.toLowerCase() !== 'utf-8') {
    throw new VmferryError('xml-forbidden', 'The XML declares an encoding other than UTF-8; send UTF-8.');
  }
  return { t: 'skipped', next };
}

function readStartTag(text: string, at: number): Markup {
  let attributes = 0;
  let quote = '';
  for (let index = at + 1; index < text.length; index += 1) {
    const character = text.charAt(index);
    if (character === '<') throw malformed(`a tag that starts at character ${at} is not closed`);
    if (quote !== '') {
      if (character === quote) quote = '';
    } else if (character === '"' || character === "'") {
      quote = character;
      attributes += 1;
    } else if (character === '>') {
      return { t: 'start', next: index + 1, attributes, selfClosing: text.charAt(index - 1) === '/' };
    }
  }
  throw malformed(`a tag that starts at character ${at} is not closed`);
}

function after(text: string, terminator: string, from: number): number {
  const found = text.indexOf(terminator, from);
  if (found === -1) throw malformed(`"${terminator}" is missing after character ${from}`);
  return found + terminator.length;
}

function malformed(what: string): VmferryError {
  return new VmferryError('xml-malformed', `The XML is not well-formed: ${what}.`);
}

function refuseOver(count: number, max: number, what: string): void {
  if (count <= max) return;
  throw new VmferryError('xml-too-large', `The XML is over a limit: more than ${max} ${what}.`, { data: { max } });
}
