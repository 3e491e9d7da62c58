//! Has the module stay in the process once it is loaded.

fn main() {
    // `dlclose` would take away the counts, and the code under calls that hang.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");
    println!("cargo::rerun-if-changed=build.rs");
}
