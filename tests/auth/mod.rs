//! Logging in at a certified OpenID provider, staying logged in, and logging out.

mod fake;
mod hostile;
mod login;
mod logout;
mod machines;
mod renewal;
mod scene;
mod together;
mod tokens;
