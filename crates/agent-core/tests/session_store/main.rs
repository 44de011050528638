//! The session store through its face, on real files and with real processes.

mod basics;
mod damage;
mod export;
mod migration;
mod model;
mod processes;
mod search;
mod space;
mod support;
