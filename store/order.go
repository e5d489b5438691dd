package store

import (
	"slices"
	"sort"
)

// maxRun bounds how many keys an insertion moves.
const maxRun = 512 // keys

// order is a sorted set of keys: runs of at most maxRun sorted keys, themselves in order. An
// insertion among a million keys is a binary search and a short copy. No run is empty.
type order struct {
	runs [][]string
}

// find returns the run that has k or would have it.
func (o *order) find(k string) int {
	i := sort.Search(len(o.runs), func(i int) bool { return o.runs[i][0] > k })
	return max(i-1, 0)
}

func (o *order) add(k string) {
	if len(o.runs) == 0 {
		o.runs = append(o.runs, []string{k})
		return
	}
	i := o.find(k)
	j, found := slices.BinarySearch(o.runs[i], k)
	if found {
		return
	}
	run := slices.Insert(o.runs[i], j, k)
	o.runs[i] = run
	if len(run) > maxRun {
		half := len(run) / 2
		o.runs = slices.Insert(o.runs, i+1, slices.Clone(run[half:]))
		o.runs[i] = slices.Delete(run, half, len(run))
	}
}

func (o *order) remove(k string) {
	if len(o.runs) == 0 {
		return
	}
	i := o.find(k)
	j, found := slices.BinarySearch(o.runs[i], k)
	if !found {
		return
	}
	o.runs[i] = slices.Delete(o.runs[i], j, j+1)
	if len(o.runs[i]) == 0 {
		o.runs = slices.Delete(o.runs, i, i+1)
	}
}

// from calls yield for each key that is not below k, in order, until yield
// returns false.
func (o *order) from(k string, yield func(string) bool) {
	if len(o.runs) == 0 {
		return
	}
	i := o.find(k)
	j, _ := slices.BinarySearch(o.runs[i], k)
	for ; i < len(o.runs); i, j = i+1, 0 {
		for _, k := range o.runs[i][j:] {
			if !yield(k) {
				return
			}
		}
	}
}
