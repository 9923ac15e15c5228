package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

func (t *tool) templates() *cobra.Command {
	return group("templates", "What notifications say",
		listed(t.templatesList()), t.templatesGet(), t.templatesApply(), t.templatesPreview(), t.templatesDelete())
}

func (t *tool) templatesList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List templates", Args: exactly(0, "no arguments"),
		Example: `  eactl templates list`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			return list(t, api.AllTemplates(cmd.Context(), client.ListTemplatesParams{}), 0, "name", "version", "updated_at", "description")
		}}
}

func (t *tool) templatesGet() *cobra.Command {
	return &cobra.Command{Use: "get NAME", Short: "Show one", Args: exactly(1, "a template's name"),
		Example: `  eactl templates get default -o yaml > default.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(t, cmd, (*client.Client).GetTemplate, args[0])
		}}
}

func (t *tool) templatesApply() *cobra.Command {
	var file string
	c := &cobra.Command{Use: "apply -f FILE", Short: "Save a template, new or changed", Args: exactly(0, "only flags"),
		Example: `  eactl templates apply -f outage.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, body, err := templateFile(file)
			if err != nil {
				return err
			}
			api, err := t.api()
			if err != nil {
				return err
			}
			saved, err := api.PutTemplateWith(cmd.Context(), name, client.PutTemplateParams{}, body)
			if err != nil {
				return err
			}
			return t.print(saved, func() error {
				_, err := fmt.Fprintf(t.out, "%s is saved, version %d\n", name, saved.Version)
				return err
			})
		}}
	c.Flags().StringVarP(&file, "file", "f", "", "YAML or JSON, as get prints it")
	return c
}

// templateFile reads a template of a file. What the API says itself about one,
// as its version, is not sent back; what nobody knows is, so that the API can
// refuse it.
func templateFile(file string) (name string, body client.Body, err error) {
	if file == "" {
		return "", body, &usageError{errors.New("-f FILE is missing: a template as `eactl templates get NAME -o yaml` prints it")}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", body, &usageError{err}
	}
	var fields map[string]any
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return "", body, &usageError{fmt.Errorf("%s: %w", file, err)}
	}
	if name, _ = fields["name"].(string); name == "" {
		return "", body, &usageError{fmt.Errorf("%s: name is missing", file)}
	}
	for _, said := range []string{"version", "created_at", "updated_at", "updated_by"} {
		delete(fields, said)
	}
	written, err := json.Marshal(fields)
	return name, client.JSON(written), err
}

func (t *tool) templatesPreview() *cobra.Command {
	var file, event string
	c := &cobra.Command{Use: "preview [NAME] --event EVENT_ID", Short: "What a template would say about a stored event; nothing is sent", Args: cobra.MaximumNArgs(1),
		Example: `  eactl templates preview default --event 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968
  eactl templates preview -f outage.yaml --event 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968    # before it is saved`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var name string
			var body client.Body // none: as it is stored
			switch {
			case event == "":
				return &usageError{errors.New("--event EVENT_ID is missing (`eactl events list` shows some)")}
			case (len(args) == 1) == (file != ""):
				return &usageError{errors.New("name a stored template, or a file with -f")}
			case len(args) == 1:
				name = args[0]
			default:
				var err error
				if name, body, err = templateFile(file); err != nil {
					return err
				}
			}
			api, err := t.api()
			if err != nil {
				return err
			}
			filled, err := api.PreviewTemplateWith(cmd.Context(), name, client.PreviewTemplateParams{EventID: event}, body)
			if err != nil {
				return err
			}
			return t.print(filled, func() error {
				_, err := fmt.Fprintf(t.out, "Subject: %s\n\n%s\n", filled.Subject, filled.Text)
				if err == nil && filled.HTML != "" {
					_, err = fmt.Fprintf(t.out, "\n--- HTML ---\n%s\n", filled.HTML)
				}
				return err
			})
		}}
	c.Flags().StringVar(&event, "event", "", "the id of a stored event")
	c.Flags().StringVarP(&file, "file", "f", "", "a template that need not be saved")
	return c
}

func (t *tool) templatesDelete() *cobra.Command {
	return &cobra.Command{Use: "delete NAME", Short: "Delete a template that no rule names", Args: exactly(1, "a template's name"),
		Example: `  eactl templates delete outage`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := t.api()
			if err != nil {
				return err
			}
			return t.sayDeleted(args[0], api.DeleteTemplate(cmd.Context(), args[0], client.DeleteTemplateParams{}))
		}}
}
