export { type TlsFiles, TlsIdentity, type TlsIdentityListener } from './identity.js';
export { certificateFault, type PeerCertificate, peerCertificate, refused } from './peer-certificate.js';
export { type Role, rolesOf } from './roles.js';
export { type TlsPem, tlsSettings } from './settings.js';
