use super::common::*;
use super::db::*;
use std::path::Path;

pub fn stats(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    out.push(format!("{}", txn.stats()?.stored_bytes()));
    fill_ints(&txn, 3)?;
    let mut text = txn.open_table(TEXT)?;
    fill_text(&mut text)?;
    let of_text = text.stats()?;
    out.push(format!("{} {}", of_text.tree_height(), of_text.leaf_pages()));
    out.push(format!("{} {}", of_text.branch_pages(), of_text.stored_bytes()));
    // An open table counts as it was.
    out.push(format!("{}", txn.stats()?.stored_bytes()));
    drop(text);
    let all = txn.stats()?;
    out.push(format!("{} {} {}", all.tree_height(), all.leaf_pages(), all.branch_pages()));
    out.push(format!("{} {} {}", all.stored_bytes(), all.page_size(), all.allocated_pages() >= 3));
    txn.open_table(BLOBS)?.insert(1, &[1; 100_000][..])?;
    fill_ints(&txn, 5000)?;
    txn.commit()?;
    let txn = db.begin_read()?;
    let ints = txn.open_table(INTS)?.stats()?;
    out.push(format!("{} {}", ints.stored_bytes(), ints.tree_height()));
    out.push(format!("{}", ints.leaf_pages() > 10 && ints.branch_pages() > 0 && ints.metadata_bytes() > 0));
    let blobs = txn.open_untyped_table(BLOBS)?.stats()?;
    out.push(format!("{} {}", blobs.stored_bytes(), blobs.tree_height()));
    Ok(out)
}

/// Numbers that both must count alike while rows come and go.
pub fn counts_that_agree(path: &Path) -> Found {
    let mut out = Vec::new();
    let db = Database::create(path)?;
    for round in 0..6_u64 {
        let txn = db.begin_write()?;
        {
            let mut ints = txn.open_table(INTS)?;
            for key in 0..round * 7 {
                ints.insert(key * 5 % 41, key)?;
            }
            ints.retain(|key, _| key % 5 != round)?;
            let stats = ints.stats()?;
            out.push(format!("{} {} {}", ints.len()?, stats.stored_bytes(), stats.tree_height()));
            out.push(format!("{} {}", stats.leaf_pages(), stats.branch_pages()));
            let mut sets = txn.open_multimap_table(SETS)?;
            sets.insert(round % 2, &[round as u8][..])?;
            out.push(format!("{} {}", sets.len()?, sets.stats()?.tree_height()));
        }
        let stats = txn.stats()?;
        out.push(format!("{} {}", stats.tree_height(), stats.page_size()));
        txn.commit()?;
    }
    Ok(out)
}

/// Metrics are behind a feature in redb: what both tell without it.
pub fn cache(path: &Path) -> Found {
    let db = Database::create(path)?;
    let txn = db.begin_write()?;
    fill_ints(&txn, 1_000)?;
    txn.commit()?;
    let stats = db.cache_stats();
    let dropped = db.begin_read()?.open_table(INTS)?.get(1)?.map(|value| value.value());
    Ok(vec![format!("{} {dropped:?} {}", stats.evictions(), format!("{stats:?}").is_empty())])
}
