//! Decisions about what an agent may touch: values in, decisions out.
//!
//! * [`path`]: which paths stay inside the workspace, and which files steer programs;
//! * [`command`]: which command lines are understood well enough to run without asking;
//! * [`permission`]: mode, level and what a tool is about to do, turned into allow, ask or deny;
//! * [`redact`]: taking secrets out of text before it is shown or stored;
//! * [`token`]: bearer tokens of our own servers, and the file that keeps one;
//! * [`rate_limit`]: how many requests someone may make;
//! * [`network`]: which hosts and addresses may be connected to, and how a URL is read;
//! * [`audit`]: the chained record of what was decided and done;
//! * [`signature`]: who signed a request, that nothing of it was changed, and that it was not seen before.
//!
//! Nothing here starts a program or reads a clock, and no file is opened but those of tokens, keys and the audit log; otherwise only where links lead is looked up. The decisions keep honest mistakes and
//! hostile text from running unasked; the directory handle that files are opened beneath is what holds when a decision on a
//! path is wrong; a command that was let run can do what its user can.

pub mod audit;
mod characters;
pub mod command;
pub mod key_file;
pub mod network;
pub mod path;
pub mod permission;
pub mod private_file;
pub mod rate_limit;
pub mod redact;
pub mod signature;
pub mod token;
