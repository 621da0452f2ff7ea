/**
 * What a document may cost. Every figure is checked before libxml2 reads the text, so that a hostile document costs one pass
 * over its characters and no more (threats, row 1: a parse stays under 50 ms).
 */
export interface XmlLimits {
  /** Length of the text in UTF-8. */
  readonly bytesMax: number;
  /** Nested elements, the root counted; libxml2 itself stops at 256. */
  readonly depthMax: number;
  /** Elements, comments and CDATA sections together. */
  readonly nodesMax: number;
  /** Attributes of the whole document. */
  readonly attributesMax: number;
}

/** The limits of a domain definition, the largest document that vmferry reads. */
export const defaultXmlLimits: XmlLimits = {
  bytesMax: 1024 * 1024,
  depthMax: 64,
  nodesMax: 2500,
  attributesMax: 5000,
};

/** libxml2 compares each attribute of an element with all others: this bounds the square. */
export const attributesOfOneElementMax = 100;
