package hosttest

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

// A staging is what a shop keeps of a staged version.
type staging struct {
	sent   sending
	change protocol.Change
}

// key returns under what the shop keeps a staged version.
func (s *shop) key(op host.Operation) string {
	if s.careless == "keeps one of each package" {
		return op.Package.String()
	}
	return op.ID
}

func (s *shop) stage(r *http.Request, op host.Operation) ([]byte, error) {
	d, c, err := s.receive(r, op)
	if err != nil {
		return nil, err
	}
	who, _ := host.IdentityFrom(r.Context())
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.goods[op.Package]
	switch {
	case g != nil && g.docs[c.Version] != nil && s.careless != "publishes over":
		return nil, errConflict
	case s.careless == "publishes what is staged":
		_, err := s.put(op, who.Name, s.owner(who), who.NPMUser(""), d, c)
		return nil, err
	case s.careless == "tags what is staged" && g != nil:
		maps.Copy(g.tags, c.Tags)
	case s.careless == "serves what is staged" && g != nil:
		for _, a := range d.Attachments {
			if g.files[c.Version], err = base64.StdEncoding.DecodeString(a.Data); err != nil {
				return nil, err
			}
		}
	case s.careless == "makes room for what is staged" && g == nil:
		s.ids++
		s.goods[op.Package] = &good{id: "staged", owners: []string{who.Name}, tags: map[string]string{}}
	}
	s.kept[s.key(op)] = staging{d, c}
	return []byte("{}"), nil
}

func (s *shop) serveStaged(r *http.Request, op host.Operation) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var said struct{ ID string }
	switch s.careless {
	case "believes queries":
		if id := r.URL.Query().Get("id"); id != "" {
			op.ID = id
		}
	case "believes bodies":
		if json.Unmarshal(body, &said) == nil && said.ID != "" {
			op.ID = said.ID
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.kept[s.key(op)]
	if !ok {
		return nil, errGone
	}
	switch op.Action {
	case protocol.ReadStaged:
		for _, a := range v.sent.Attachments {
			data, err := base64.StdEncoding.DecodeString(a.Data)
			if s.careless == "packs anew" {
				data = data[:len(data)-1]
			}
			return data, err
		}
	case protocol.ApproveStaged:
		return s.approve(r, op, v)
	}
	if s.careless != "keeps what is rejected" {
		delete(s.kept, s.key(op))
	}
	return []byte("{}"), nil
}

// approve publishes a staged version. s.mu is held.
func (s *shop) approve(r *http.Request, op host.Operation, v staging) ([]byte, error) {
	who, _ := host.IdentityFrom(r.Context())
	owner, by := op.Staged.By.Name, op.Staged.NPMUser("", "")
	switch s.careless {
	case "gives it to who approves":
		owner = who.Name
	case "names who approves":
		by = who.NPMUser("")
	case "names who staged as the approver":
		by.Approver = &host.Person{Name: owner}
	case "forgets the evidence":
		by.TrustedPublisher = nil
	case "tags the latest":
		v.change.Tags = map[string]string{"latest": v.change.Version}
	case "publishes other bytes":
		for name, a := range v.sent.Attachments {
			a.Data = base64.StdEncoding.EncodeToString([]byte("other bytes"))
			v.sent.Attachments[name] = a
		}
	case "opens what is staged":
		v.change.Access = ""
	case "publishes all that is staged":
		for id, other := range s.kept {
			if id != op.ID {
				if _, err := s.put(op, owner, owner, by, other.sent, other.change); err != nil {
					return nil, err
				}
			}
		}
	case "thanks who approves":
		if g := s.goods[op.Package]; g != nil && !slices.Contains(g.owners, owner) {
			g.owners = append(g.owners, owner)
		}
	}
	_, err := s.put(op, owner, owner, by, v.sent, v.change)
	if err == nil && s.careless != "keeps what is approved" && s.careless != "approves once more" {
		delete(s.kept, s.key(op))
	}
	return nil, err
}
