//! The trust that entries are given.

use super::*;
use crate::extraction::cache::entry::CachedAssociation;

fn link(to: u64) -> CachedAssociation {
    CachedAssociation { object_type: 1, type_id: 339, to: ObjectId(to), category: "HUBSPOT_DEFINED".to_owned() }
}

#[test]
fn entries_come_back_as_they_were() {
    let removed = CacheEntry { removed: vec![link(4)], ..CacheEntry::live(u64::MAX, vec![link(3), link(1)], None) };
    for entry in [CacheEntry::gone(3, None), CacheEntry::live(7, vec![], None), removed] {
        let decoded = CacheEntry::decode(&entry.encode(9)).expect("an entry");
        assert_eq!(decoded, CacheEntry { checkpoint: 9, ..entry });
    }
    assert_eq!(CacheEntry::decode(&CacheEntry::live(7, vec![link(3)], None).encode(9)[..25]), None);
}

#[test]
fn only_what_the_state_covers_is_trusted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cache");
    let cache = Cache::open(&path, 7).expect("a cache");
    assert!(!cache.view("tickets", None, 5).expect("readable").diffing);
    cache.put("tickets", ObjectId(1), CacheEntry::live(11, vec![], None));
    let first = cache.next_mark("tickets", true);
    cache.commit().expect("writable");
    cache.put("tickets", ObjectId(2), CacheEntry::live(12, vec![], None));
    let second = cache.next_mark("tickets", true);
    cache.commit().expect("writable");
    drop(cache);

    let known = |mark: &CacheMark, fingerprint: u64| {
        let cache = Cache::open(&path, 7).expect("a cache");
        let cache_view = cache.view("tickets", Some(mark), fingerprint).expect("readable");
        if !cache_view.diffing {
            return None;
        }
        let ids = [1, 2].map(ObjectId);
        let known = cache.get("tickets", ids, cache_view).expect("readable");
        let has = |(id, hash): (u64, u64)| known.get(&ObjectId(id)).is_some_and(|known| known.matches(hash));
        Some([(1, 11), (2, 12)].into_iter().filter(|row| has(*row)).map(|(id, _)| id).collect::<Vec<_>>())
    };
    assert_eq!(known(&second, 5), Some(vec![1, 2]));
    assert_eq!(known(&first, 5), Some(vec![1]));
    assert_eq!(known(&second, 5), Some(vec![1]), "what was invalidated once stays so, whatever later states cover");
    assert_eq!(known(&CacheMark { id: 1 << 60, ..second.clone() }, 5), None);
    assert_eq!(known(&second, 5), None, "a state of another cache has dropped the entries");
}

#[test]
fn a_file_behind_the_state_is_filled_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(&folder.path().join("cache"), 7).expect("a cache");
    assert!(!cache.view("tickets", None, 5).expect("readable").diffing);
    cache.put("tickets", ObjectId(1), CacheEntry::live(11, vec![], None));
    let mark = cache.next_mark("tickets", true);
    cache.commit().expect("writable");
    let ahead = CacheMark { checkpoint: mark.checkpoint + 1, ..mark };
    assert!(!cache.view("tickets", Some(&ahead), 5).expect("readable").diffing);
}

#[test]
fn an_association_is_removed_until_a_state_covers_its_tombstone() {
    let both = CacheEntry { checkpoint: 5, ..CacheEntry::live(1, vec![link(1), link(2)], None) };
    let state = CacheView { covered_to: 5, first_checkpoint: 7, diffing: true };
    let known = state.known(both);
    assert_eq!(known.links_to_remove(&[link(1)]), [link(2)]);
    let one = CacheEntry { checkpoint: 7, ..CacheEntry::live(2, vec![link(1)], Some(&known)) };
    // Read again in the same run, and in a later one that is given the same state.
    let again = state.known(one);
    assert_eq!(again.links_to_remove(&[link(1)]), []);
    let again = CacheEntry { checkpoint: 8, ..CacheEntry::live(3, vec![link(1)], Some(&again)) };
    assert_eq!(
        CacheView { covered_to: 5, first_checkpoint: 9, diffing: true }
            .known(again.clone())
            .links_to_remove(&[link(1)]),
        [link(2)]
    );
    let covered = CacheView { covered_to: 8, first_checkpoint: 9, diffing: true }.known(again);
    assert_eq!(CacheEntry::live(4, vec![link(1)], Some(&covered)).removed, []);
    assert_eq!(CacheEntry::gone(3, Some(&covered)).removed, [link(1)]);
}

#[test]
fn another_selection_drops_the_entries() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(&folder.path().join("cache"), 7).expect("a cache");
    assert!(!cache.view("tickets", None, 5).expect("readable").diffing);
    cache.put("tickets", ObjectId(1), CacheEntry::live(11, vec![], None));
    let mark = cache.next_mark("tickets", true);
    cache.commit().expect("writable");
    let diffing = |fingerprint| cache.view("tickets", Some(&mark), fingerprint).expect("readable").diffing;
    assert!(diffing(5));
    assert!(!diffing(6));
    assert!(!diffing(5));
}

#[test]
fn a_cache_of_another_portal_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cache");
    drop(Cache::open(&path, 7).expect("a cache"));
    assert!(Cache::open(&path, 8).expect_err("refused").to_string().contains("belongs to portal 7"));
}

#[test]
fn a_cache_in_use_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cache");
    let _held = Cache::open(&path, 7).expect("a cache");
    let error = Cache::open(&path, 7).expect_err("refused").to_string();
    assert!(error.contains("another run"), "{error}");
}
