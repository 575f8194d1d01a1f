//! Whether a release is its owner's: real keys, real signatures, real git over http, and the real `heph`.

mod accepted;
mod keys;
mod openpgp;
mod others;
mod owner;
mod passwords;
mod place;
mod refused;
mod seen;
mod table;
