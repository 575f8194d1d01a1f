//! Logging in at a certified OpenID provider, staying logged in, and logging out.

mod answers;
mod bearer;
mod fake;
mod hostile;
mod how_to;
mod login;
mod logout;
mod machines;
mod renewal;
mod scene;
mod together;
mod tokens;
mod toolkit;
