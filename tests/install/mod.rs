//! How a release becomes files: real folders, real links, real `cargo install`, real crashes.

mod adoption;
mod crash;
mod features;
mod links;
mod slots;
mod staging;
