import type { XmlElement } from '@vmferry/xml';
import { attributeOf, integer } from './fields.js';

export function readBootOrder(device: XmlElement): { readonly bootOrder?: number } {
  const order = attributeOf(device, 'boot', 'order');
  return order === undefined ? {} : { bootOrder: integer(`<${device.name}><boot order>`, order, 1, 1000) };
}
