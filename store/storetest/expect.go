package storetest

import (
	"context"
	"errors"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/store"
)

// expectations lets transactions that expect a row race with a Commit that changes the row, and
// notes which transactions are done before it. No other may be done after it, however often it
// ran; without a change all of them are. Half of them also write a row that all of these write,
// and so run several times.
func expectations(t tb, e env) {
	handles := e.handles()
	for round := range e.rounds(40) {
		prefix := "expect/" + number(round) + "/"
		judged, common, change := prefix+"judged", prefix+"common", prefix+"change"
		acts := []string{prefix + "act/0", prefix + "act/1", prefix + "act/2", prefix + "act/3"}
		if round%2 == 0 {
			commit(t, e.s, put(judged, "", store.Absent))
		}
		evidence := get(t, handles[len(handles)-1], judged).Evidence()

		var fns []func() error
		for i, key := range acts {
			s := handles[i%len(handles)]
			fns = append(fns, func() error { return act(t.Context(), s, evidence, key, common, i < 2) })
		}
		changes := round%4 != 3
		if changes {
			fns = append(fns, func() error {
				return retry(t.Context(), e.s, append([]string{common}, acts...), func(items []store.Item) []store.Op {
					ops := []store.Op{put(judged, "changed", store.Any), put(common, "", items[0].Revision)}
					var done []string
					for _, it := range items[1:] {
						ops = append(ops, check(it.Key, it.Revision))
						if it.Exists() {
							done = append(done, it.Key)
						}
					}
					return append(ops, put(change, strings.Join(done, " "), store.Absent))
				})
			})
		}
		var said []string
		for i, err := range race(fns...) {
			switch e, ok := errors.AsType[*store.ChangedError](err); {
			case ok && changes:
				require.Equal(t, judged, e.Key, "the key that has changed")
			case err != nil:
				require.NoError(t, err)
			case i < len(acts):
				said = append(said, acts[i])
			}
		}

		done := keysOf(list(t, e.s, prefix+"act/", "", store.MaxLimit))
		require.ElementsMatch(t, said, done, "what was said to be done, and what is")
		if changes {
			require.ElementsMatch(t, strings.Fields(string(get(t, e.s, change).Value)), done,
				"what was done before the change of what it expected, and what is")
		}
	}
}

// act writes key in a transaction that expects evidence, and before that common, if it is to
// conflict with others there.
func act(ctx context.Context, s store.Store, evidence store.Evidence, key, common string, meet bool) error {
	return store.Transact(ctx, s, func(tx *store.Tx) error {
		tx.Expect(evidence)
		if meet {
			items, err := tx.Get(ctx, common)
			if err != nil {
				return err
			}
			tx.Put(common, append(items[0].Value, 'x'), never)
		}
		tx.Create(key, nil, never)
		return nil
	})
}
