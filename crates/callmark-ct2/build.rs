//! Compiles the shim; what it calls is found when the library is opened.

fn main() {
    println!("cargo:rerun-if-changed=native/shim.cc");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .file("native/shim.cc")
        .warnings(true)
        .compile("callmark_ct2_shim");
    println!("cargo:rustc-link-lib=dl");
}
