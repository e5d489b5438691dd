package integration_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/audit"
	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/integration"
	"github.com/npmauth/npmauth/protocol"
	"github.com/npmauth/npmauth/store"
	"github.com/npmauth/npmauth/trust"
)

// idTokens is how many ID tokens the clients of TestExchangesAreLinearizable have.
const idTokens = 3

// An exchanging is what a client asks about a package: to add its trusted publisher, to remove it, to exchange an ID
// token, or whether the token that one was exchanged for is alive.
type exchanging struct {
	what string // add, remove, exchange or alive
	id   int    // of the ID token
}

// What is said to an exchanging.
const (
	said    = "yes"
	saidNo  = "no"      // of add: it is there already; of remove and exchange: none is there; of alive: it is dead
	saidOld = "used"    // of exchange
	unsaid  = "unknown" // it may have happened, may happen yet, or never
)

// publishing is the state of a package: whether it has a publisher, the how manieth that is, and for which
// each ID token was exchanged, 0 being none.
type publishing struct {
	has       bool
	publisher int
	used      [idTokens]int
}

// after returns what p is after in was done, and what is said then.
func (p publishing) after(in exchanging) (publishing, string) {
	switch {
	case in.what == "add" && p.has, in.what != "add" && in.what != "alive" && !p.has:
		return p, saidNo
	case in.what == "add":
		p.has = true
		p.publisher++
	case in.what == "remove":
		p.has = false
	case in.what == "exchange" && p.used[in.id] != 0:
		return p, saidOld
	case in.what == "exchange":
		p.used[in.id] = p.publisher
	case !p.has || p.used[in.id] != p.publisher:
		return p, saidNo
	}
	return p, said
}

var exchangeModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{publishing{}} },
	Step: func(state, input, output any) []any {
		next, says := state.(publishing).after(input.(exchanging))
		switch output {
		case says:
			return []any{next}
		case unsaid:
			return []any{state, next}
		}
		return nil
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%v: %v", input, output) },
}

// OI-14, O-04: what clients of two nodes are told of a package's trusted publisher, of the exchanges of ID tokens and of
// the tokens that come of them could have happened in one order: an ID token counts once, whoever
// adds and removes the publisher meanwhile.
func TestExchangesAreLinearizable(t *testing.T) {
	const clients, calls = 6, 12
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	eachEngine(t, func(t *testing.T, at string) {
		var nodes []*exchanger
		for range 2 {
			nodes = append(nodes, newExchanger(t, at))
		}
		told := map[string]int{}
		for round := range rounds {
			pkg := trust.Package{ID: protocol.PackageID(fmt.Sprint("p-", round)), Name: protocol.PackageName{Name: fmt.Sprint("widget-", round)}}
			secrets := &sync.Map{} // by the ID token
			history := make([][]porcupine.Operation, clients)
			began := time.Now()
			var all sync.WaitGroup
			for client := range clients {
				all.Go(func() {
					rnd := rand.New(rand.NewPCG(rand.Uint64(), uint64(client)))
					for range calls {
						in := exchanging{[]string{"add", "add", "remove", "exchange", "exchange", "exchange", "alive", "alive", "alive"}[rnd.IntN(9)], rnd.IntN(idTokens)}
						op := porcupine.Operation{ClientId: client, Input: in, Call: int64(time.Since(began))}
						out := nodes[client%2].do(t.Context(), pkg, in, secrets)
						op.Output, op.Return = out, int64(time.Since(began))
						switch out {
						case "": // nothing was done
							continue
						case unsaid:
							op.Return = int64(time.Hour)
						}
						history[client] = append(history[client], op)
					}
				})
			}
			all.Wait()
			var operations []porcupine.Operation
			for _, ops := range history {
				operations = append(operations, ops...)
				for _, op := range ops {
					told[op.Input.(exchanging).what+" "+op.Output.(string)]++
				}
			}
			model := exchangeModel.ToModel()
			require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(model, operations, time.Minute), "%v", operations)
		}
		t.Log(told)
		if testing.Short() {
			return // of so few rounds one may have none of something
		}
		for _, says := range []string{"add yes", "add no", "remove yes", "remove no", "exchange yes", "exchange no", "exchange used", "alive yes", "alive no"} {
			assert.NotZero(t, told[says], says)
		}
	})
}

// The model notices each way in which an exchange could be wrong.
func TestExchangeModel(t *testing.T) {
	add, remove, exchange, alive := exchanging{"add", 0}, exchanging{"remove", 0}, exchanging{"exchange", 0}, exchanging{"alive", 0}
	for name, tt := range map[string]struct {
		right bool
		calls []porcupine.Operation // one after the other
	}{
		"right":                 {true, []porcupine.Operation{{Input: add, Output: said}, {Input: exchange, Output: said}, {Input: exchange, Output: saidOld}, {Input: alive, Output: said}, {Input: remove, Output: said}, {Input: alive, Output: saidNo}, {Input: exchange, Output: saidNo}}},
		"twice":                 {false, []porcupine.Operation{{Input: add, Output: said}, {Input: exchange, Output: said}, {Input: exchange, Output: said}}},
		"twice, not known":      {true, []porcupine.Operation{{Input: add, Output: said}, {Input: exchange, Output: unsaid}, {Input: exchange, Output: said}}},
		"used up by a refusal":  {false, []porcupine.Operation{{Input: exchange, Output: saidNo}, {Input: add, Output: said}, {Input: exchange, Output: saidOld}}},
		"by a removed one":      {false, []porcupine.Operation{{Input: add, Output: said}, {Input: remove, Output: said}, {Input: exchange, Output: said}}},
		"alive without it":      {false, []porcupine.Operation{{Input: add, Output: said}, {Input: exchange, Output: said}, {Input: remove, Output: said}, {Input: alive, Output: said}}},
		"alive with another":    {false, []porcupine.Operation{{Input: add, Output: said}, {Input: exchange, Output: said}, {Input: remove, Output: said}, {Input: add, Output: said}, {Input: alive, Output: said}}},
		"good for another once": {false, []porcupine.Operation{{Input: add, Output: said}, {Input: exchange, Output: said}, {Input: remove, Output: said}, {Input: add, Output: said}, {Input: exchange, Output: said}}},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range tt.calls {
				tt.calls[i].Call, tt.calls[i].Return = int64(2*i), int64(2*i+1)
			}
			assert.Equal(t, tt.right, porcupine.CheckOperations(exchangeModel.ToModel(), tt.calls))
		})
	}
}

// An exchanger is the trusted publishers of one node.
type exchanger struct {
	store  store.Store
	m      *trust.Manager
	issuer trust.Issuer
}

func newExchanger(t *testing.T, at string) *exchanger {
	st, closeStore, err := integration.OpenStore(at)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, closeStore()) })
	issuer := trust.Issuer{Kind: trust.KindOIDC, URL: "https://ci.registry.example"}
	m, err := trust.NewManager(trust.ManagerConfig{Store: st, Issuers: []trust.Issuer{issuer}})
	require.NoError(t, err)
	return &exchanger{st, m, issuer}
}

// do does what in asks for and returns what is said, "" if it got in the way of others too often.
func (e *exchanger) do(ctx context.Context, pkg trust.Package, in exchanging, secrets *sync.Map) string {
	by, err := audit.Actor{}, error(nil)
	switch in.what {
	case "add":
		_, err = e.m.Add(ctx, by, pkg, trust.Publisher{Kind: e.issuer.Kind, Issuer: e.issuer.URL, Claims: map[string]string{"sub": "job"}, Permissions: trust.CreatePackage})
	case "remove":
		err = store.Transact(ctx, e.store, func(tx *store.Tx) error {
			n, err := e.m.RemoveAllTx(ctx, tx, by, pkg, "")
			if err == nil && n == 0 {
				err = trust.ErrNotFound
			}
			return err
		})
	case "exchange":
		err = e.exchange(ctx, pkg, in.id, secrets)
	case "alive":
		secret, ok := secrets.Load(in.id)
		if !ok {
			return "" // nobody has one yet
		}
		var alive bool
		if alive, err = e.alive(ctx, secret.(credential.Secret)); err == nil && !alive {
			return saidNo
		}
	}
	_, mismatch := errors.AsType[*trust.MismatchError](err)
	switch {
	case err == nil:
		return said
	case mismatch, errors.Is(err, trust.ErrDuplicate), errors.Is(err, trust.ErrNotFound):
		return saidNo
	case errors.Is(err, trust.ErrUsed):
		return saidOld
	case errors.Is(err, store.ErrUnknown):
		return unsaid
	case errors.Is(err, store.ErrConflict):
		return ""
	}
	return err.Error() // which no model says
}

func (e *exchanger) exchange(ctx context.Context, pkg trust.Package, id int, secrets *sync.Map) error {
	claims, err := trust.ParseClaims([]byte(`{"sub":"job"}`))
	if err != nil {
		return err
	}
	now := time.Now()
	token := trust.IDToken{Issuer: e.issuer, ID: fmt.Sprint("jti-", id), Issued: now, Expires: now.Add(time.Hour), Until: now.Add(time.Hour), Claims: claims}
	var secret credential.Secret
	err = store.Transact(ctx, e.store, func(tx *store.Tx) (err error) {
		secret, _, err = e.m.ExchangeTx(ctx, tx, audit.Actor{}, pkg, token)
		return err
	})
	if err == nil {
		secrets.Store(id, secret)
	}
	return err
}

// alive reports whether a token is alive, as package trust says it is verified.
func (e *exchanger) alive(ctx context.Context, secret credential.Secret) (bool, error) {
	d, _ := credential.Parse(secret.Reveal())
	items, err := e.store.Get(ctx, trust.TokenKey(d))
	if err != nil {
		return false, err
	}
	token, err := trust.OpenToken(items[0], d)
	if err != nil {
		return false, err
	}
	if items, err = e.store.Get(ctx, trust.StateKeys(token.PackageID)...); err != nil {
		return false, err
	}
	state, err := trust.DecodeState(token.PackageID, items)
	return state.Alive(token), err
}
