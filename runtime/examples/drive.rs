use quayside_runtime::image::{Sources, Store, relock, show};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let store = Store::open(&args[1]).unwrap();
    let start = std::time::Instant::now();
    match args[2].as_str() {
        "relock" => {
            let (text, notices) = relock(&store, &Sources::default()).unwrap();
            eprintln!("{notices:?}");
            std::fs::write(&args[3], text).unwrap();
        }
        "ls" => print!("{}", show::ls_lines(&store.list())),
        name => {
            let mut n = 0;
            let image = store.prepare(name, &Sources::default(), &mut |p| {
                n += 1;
                if name != "host" {
                    eprintln!("{p:?}")
                }
            });
            match image {
                Ok(image) => println!("{image:#?}"),
                Err(e) => {
                    let mut e: &dyn std::error::Error = &e;
                    loop {
                        eprintln!("error: {e}");
                        match e.source() {
                            Some(s) => e = s,
                            None => break,
                        }
                    }
                }
            }
        }
    }
    eprintln!("{:?}", start.elapsed());
}
