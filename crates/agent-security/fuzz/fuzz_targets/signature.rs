#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &str| agent_security::signature::fuzz(header));
