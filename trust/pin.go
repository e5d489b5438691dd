package trust

import "fmt"

// A Pin is an ID that a publisher takes from the first token that matches it.
type Pin struct{ Claim, Value string }

// Pins returns the IDs that p does not have yet and would take from token. It returns none if they do not match.
//
// The caller saves [Publisher.WithPins] in the commit that accepts the token, on condition that the publisher is
// still the one that was compared: of two first tokens that differ, one must not match. [Manager.ExchangeTx] does so.
func Pins(p Publisher, token IDToken) []Pin {
	if len(Match(p, token)) > 0 {
		return nil
	}
	var pins []Pin
	for _, claim := range p.unpinned(token.Issuer) {
		value, _ := token.Claims.Text(claim)
		pins = append(pins, Pin{claim, value})
	}
	return pins
}

// unpinned returns the claims of the IDs that p does not have yet.
func (p Publisher) unpinned(issuer Issuer) (claims []string) {
	switch p.Kind {
	case KindGitHub, KindGitLab:
		for _, id := range p.ids() {
			if *id.value == "" {
				claims = append(claims, id.claim)
			}
		}
	case KindCustom:
		for _, c := range issuer.Claims {
			if _, named := p.Claims[c.Name]; c.Pin && !named {
				claims = append(claims, c.Name)
			}
		}
	}
	return claims
}

// WithPins returns p with IDs that [Pins] returned for it. It is an error if p has another one, or cannot have it.
func (p Publisher) WithPins(pins []Pin) (Publisher, error) {
	p = p.clone()
	for _, pin := range pins {
		if err := p.pin(pin); err != nil {
			return Publisher{}, err
		}
	}
	if err := p.Validate(); err != nil {
		return Publisher{}, fmt.Errorf("trust: pin: %w", err)
	}
	return p, nil
}

func (p *Publisher) pin(pin Pin) error {
	if p.Kind == KindCustom {
		if p.Claims == nil {
			return fmt.Errorf("trust: pin: the publisher has no claims")
		}
		if have, ok := p.Claims[pin.Claim]; ok && have != pin.Value {
			return fmt.Errorf("trust: pin: the publisher has another %s", pin.Claim)
		}
		p.Claims[pin.Claim] = pin.Value
		return nil
	}
	for _, id := range p.ids() {
		if id.claim != pin.Claim {
			continue
		}
		if *id.value != "" && *id.value != pin.Value {
			return fmt.Errorf("trust: pin: the publisher has another %s", pin.Claim)
		}
		*id.value = pin.Value
		return nil
	}
	return fmt.Errorf("trust: pin: a publisher of kind %v has no %q", p.Kind, pin.Claim)
}

// numericID is a place for an ID in a publisher.
type numericID struct {
	claim string
	value *string
}

func (p *Publisher) ids() []numericID {
	switch {
	case p.GitHub != nil:
		return []numericID{{"repository_id", &p.GitHub.RepositoryID}, {"repository_owner_id", &p.GitHub.RepositoryOwnerID}}
	case p.GitLab != nil:
		return []numericID{{"project_id", &p.GitLab.ProjectID}, {"namespace_id", &p.GitLab.NamespaceID}}
	}
	return nil
}
