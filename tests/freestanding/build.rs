//! Links the program against nothing at all.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for argument in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        // The precompiled `alloc` names these two; a program that aborts on panic never reaches them.
        "-Wl,--defsym=rust_eh_personality=0",
        "-Wl,--defsym=_Unwind_Resume=0",
    ] {
        println!("cargo::rustc-link-arg-bin=idv-freestanding={argument}");
    }
}
