use sapwood::*;
use std::collections::BTreeMap;
const T: TableDefinition<u64, &[u8]> = TableDefinition::new("t");

fn run(page: usize, cache: usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let mut model = BTreeMap::new();
    let mut seed = 12345u64;
    let mut rnd = move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        seed >> 33
    };
    for round in 0..6 {
        let db = Builder::new().set_page_size(page).set_cache_size(cache).create(&path).unwrap();
        db.verify().unwrap();
        for c in 0..8 {
            let mut txn = db.begin_write().unwrap();
            if c % 3 == 1 {
                txn.set_durability(Durability::None).unwrap();
            }
            {
                let mut t = txn.open_table(T).unwrap();
                for _ in 0..200 {
                    let k = rnd() % 500;
                    if rnd() % 3 == 0 {
                        let old = t.remove(k).unwrap().map(|g| g.value().to_vec());
                        assert_eq!(old, model.remove(&k));
                    } else {
                        let len = match rnd() % 20 {
                            0 => 9000,
                            1 => 3000,
                            2 => 0,
                            _ => rnd() % 300,
                        } as usize;
                        let v = vec![k as u8 ^ round as u8; len];
                        let old = t.insert(k, &v[..]).unwrap().map(|g| g.value().to_vec());
                        assert_eq!(old, model.insert(k, v));
                    }
                    assert_eq!(t.len().unwrap(), model.len() as u64);
                }
            }
            txn.commit().unwrap();
            let r = db.begin_read().unwrap().open_table(T).unwrap();
            let got: Vec<_> = r
                .iter()
                .unwrap()
                .map(|e| {
                    let (k, v) = e.unwrap();
                    (k.value(), v.value().to_vec())
                })
                .collect();
            let want: Vec<_> = model.iter().map(|(k, v)| (*k, v.clone())).collect();
            assert!(got == want, "page {page} cache {cache} round {round} commit {c}");
            db.verify().unwrap();
        }
    }
}

#[test]
fn smoke() {
    for page in [512, 1024, 4096, 65536] {
        for cache in [0, 50_000, 1 << 24] {
            println!("{page} {cache}");
            run(page, cache);
        }
    }
}
