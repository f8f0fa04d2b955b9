#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| smppgw_fuzz::config::run(data));
