#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| agent_security::network::fuzz(text));
