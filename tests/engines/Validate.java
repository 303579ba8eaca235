import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.MetadataResource;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;

/**
 * HAPI's R4 validator over standard input, one resource a line; each finding is a line "place severity path message",
 * separated by tabs. What has a canonical address is known to the others, whatever its place.
 */
public class Validate {
    public static void main(String[] args) throws Exception {
        var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var lines = in.lines().toList();
        var context = FhirContext.forR4();
        var given = new Given(context);
        for (var line : lines) {
            if (!line.contains("\"url\"")) continue;
            if (context.newJsonParser().parseResource(line) instanceof MetadataResource known) given.add(known);
        }
        var base = new DefaultProfileValidationSupport(context);
        var terms = new InMemoryTerminologyServerValidationSupport(context);
        var chain = new ValidationSupportChain(given, base, terms, new CommonCodeSystemsTerminologyService(context));
        var instance = new FhirInstanceValidator(chain);
        instance.setBestPracticeWarningLevel(BestPracticeWarningLevel.Ignore);
        instance.setAnyExtensionsAllowed(true);
        var validator = new FhirValidator(context).registerValidatorModule(instance);
        for (int place = 0; place < lines.size(); place++) {
            for (var found : validator.validateWithResult(lines.get(place)).getMessages()) {
                var message = found.getMessage().replaceAll("\\s+", " ");
                out.println(place + "\t" + found.getSeverity() + "\t" + found.getLocationString() + "\t" + message);
            }
        }
    }

    /** The resources that came with a canonical address, with or without its version. */
    private record Given(FhirContext context, Map<String, MetadataResource> byUrl) implements IValidationSupport {
        Given(FhirContext context) {
            this(context, new HashMap<>());
        }

        void add(MetadataResource resource) {
            if (!resource.hasUrl()) return;
            byUrl.put(resource.getUrl(), resource);
            byUrl.put(resource.getUrl() + "|" + resource.getVersion(), resource);
        }

        @Override
        public FhirContext getFhirContext() {
            return context;
        }

        @Override
        public <T extends IBaseResource> T fetchResource(Class<T> kind, String url) {
            var found = byUrl.get(url);
            return kind.isInstance(found) ? kind.cast(found) : null;
        }

        @Override
        public IBaseResource fetchCodeSystem(String url) {
            return fetchResource(org.hl7.fhir.r4.model.CodeSystem.class, url);
        }

        @Override
        public boolean isCodeSystemSupported(
                ca.uhn.fhir.context.support.ValidationSupportContext root, String url) {
            return fetchCodeSystem(url) != null;
        }
    }
}
