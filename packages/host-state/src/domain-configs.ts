import { parseDomain } from '@vmferry/domain';
import type { FaultPoints } from '@vmferry/seams';
import { attribute, element, formatXml, isElement, parseXml, type XmlElement } from '@vmferry/xml';
import { DocumentFolder, type SetAsideReporter } from './document-folder.js';

const VERSION = '1';

/** A domain within a document of ours: some more of everything than a domain alone may have. */
export const wrappedXmlLimits = { bytesMax: 2 * 1024 * 1024, depthMax: 66, nodesMax: 2600, attributesMax: 5200 };

export interface XmlFolderOptions {
  readonly dir: string;
  readonly report: SetAsideReporter;
  readonly faults?: FaultPoints;
}

/** The persistent domains: their XML, by uuid, as `formatDomain` writes it. Reading checks the type of the domain (S12). */
export class DomainConfigs extends DocumentFolder<string> {
  constructor(options: XmlFolderOptions) {
    super({
      ...options,
      suffix: '.xml',
      encode: (uuid, domainXml) =>
        formatXml(element('domainconfig', { version: VERSION }, [checkedDomain(uuid, parseXml(domainXml))])),
      decode: (uuid, text) => {
        const root = parseXml(text, wrappedXmlLimits);
        checkRoot(root, 'domainconfig');
        const [domain, ...more] = root.children.filter(isElement);
        if (domain === undefined || more.length > 0) throw new Error('it does not hold one domain');
        return formatXml(checkedDomain(uuid, domain));
      },
    });
  }
}

export function checkRoot(root: XmlElement, name: string): void {
  if (root.name !== name) throw new Error(`its root is <${root.name}>, not <${name}>`);
  const version = attribute(root, 'version') ?? 'missing';
  if (version !== VERSION) throw new Error(`its version is ${version}, this is for version ${VERSION}`);
}

/** The domain, when it is one and has this uuid. Throws what `parseDomain` throws. */
function checkedDomain(uuid: string, domain: XmlElement): XmlElement {
  const definition = parseDomain(formatXml(domain));
  if (definition.uuid !== uuid) throw new Error(`it is of the domain ${definition.uuid}, not of ${uuid}`);
  return domain;
}
