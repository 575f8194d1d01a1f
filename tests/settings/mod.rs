//! The settings file as a user meets it: what is taken, what is refused, and in which words.

mod refused;
mod taken;
mod trust;
mod unusable;
