#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| plug2mqtt_fuzz::gateway(bytes));
