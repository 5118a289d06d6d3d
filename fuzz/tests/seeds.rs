//! Every seed satisfies its property, on stable too.

use std::fs;
use std::path::Path;

fn each_seed(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let mut seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "no seeds for {target}");
    for seed in seeds {
        println!("{}", seed.display());
        property(&fs::read(&seed).unwrap());
    }
}

#[test]
fn the_seeds_of_callback_hold() {
    each_seed("callback", idv_fuzz::callback::holds);
}

#[test]
fn the_seeds_of_session_hold() {
    each_seed("session", idv_fuzz::session::holds);
}
