export { decodeCookie, decodeOptional } from './decode.js';
export { encodeCookie } from './encode.js';
export type {
  CookieExpectation,
  CookieFeature,
  CookieGraphics,
  CookieLockState,
  CookieOfVmferry,
  CookiePeer,
  CookieStream,
  MigrationCookie,
} from './model.js';
export { cookieFromBase64, cookieToBase64 } from './wire.js';
